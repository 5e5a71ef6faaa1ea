/* libFuzzer's entry; the target is chosen when this file is compiled: -DFUZZ_TARGET=fuzz_gguf. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return FUZZ_TARGET(data, size);
}
