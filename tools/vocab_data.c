/* The standard vocabulary inside the program, so that `glip convert` works wherever it is installed. The file is named
 * from the root of the repository, where the build runs. */
#include "vocab_data.h"

__asm__(".section .rodata\n"
        ".global glip_vocab_data\n"
        ".global glip_vocab_end\n"
        "glip_vocab_data:\n"
        ".incbin \"weights/bert-base-uncased-vocab.txt\"\n"
        "glip_vocab_end:\n"
        ".byte 0\n"
        ".text\n");
