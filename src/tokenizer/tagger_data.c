/* weights/tagger.bin as part of the library's read-only data: no file to find, nothing to load. Compiled from the
 * repository root, which the path is relative to. */
#include "tokenizer/tagger.h"

#if defined(__APPLE__)
#define SYMBOL(name) "_" name
#define SECTION ".section __TEXT,__const\n"
#define SECTION_END ".text\n"
#define HIDDEN ".private_extern "
#else
#define SYMBOL(name) name
#define SECTION ".section .rodata.glip_tagger,\"a\"\n"
#define SECTION_END ".previous\n"
#define HIDDEN ".hidden "
#endif

/* clang-format off */
__asm__(SECTION
        ".globl " SYMBOL("glip__tagger_begin") "\n"
        HIDDEN SYMBOL("glip__tagger_begin") "\n"
        ".globl " SYMBOL("glip__tagger_end") "\n"
        HIDDEN SYMBOL("glip__tagger_end") "\n"
        ".balign 16\n"
        SYMBOL("glip__tagger_begin") ":\n"
        ".incbin \"weights/tagger.bin\"\n"
        SYMBOL("glip__tagger_end") ":\n"
        ".byte 0\n"
        SECTION_END);
/* clang-format on */

extern const uint8_t glip__tagger_begin[] __attribute__((visibility("hidden")));
extern const uint8_t glip__tagger_end[] __attribute__((visibility("hidden")));

const void *glip__tagger_data(size_t *size)
{
	*size = (size_t)((uintptr_t)glip__tagger_end - (uintptr_t)glip__tagger_begin);
	return glip__tagger_begin;
}
