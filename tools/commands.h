/* The commands of the `glip` program. Each gets argv with its own name first and returns the exit status. */
#ifndef GLIP_TOOLS_COMMANDS_H
#define GLIP_TOOLS_COMMANDS_H

enum { EXIT_GOOD = 0, EXIT_SOME_FAILED = 1, EXIT_USAGE = 2 };

int cmd_ground(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_phrases(int argc, char **argv);
int cmd_bench(int argc, char **argv);

#endif
