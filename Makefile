# libglip. `make` builds, `make demo` shows, `make test` tests; `make help` lists the rest.
#
# Objects go to build/<flavor>/, so switching flavors (FLAVOR=asan, tsan, debug; CC=clang) needs no clean. What a user
# takes lies in build/ itself: glip, libglip.a, libglip.so.

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
FLAVOR ?= release
PREFIX ?= /usr/local
DESTDIR ?=
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
SOVERSION := 0
# Of the compiler; where deps has yet to install one, the machine's.
ARCH := $(if $(filter m32,$(FLAVOR)),i686,$(or $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1),$(shell uname -m)))
OBJ := build/$(if $(filter gcc,$(notdir $(CC))),,$(notdir $(CC))-)$(FLAVOR)

# JPEG=turbo: libjpeg-turbo decodes JPEG; JPEG=stb: stb_image, which is compiled in. Without a word: turbo where it is found.
FIND_JPEG := CC='$(CC)' CFLAGS='$(CFLAGS)' LDFLAGS='$(LDFLAGS)' scripts/deps jpeg
JPEG_FOUND := $(if $(filter m32,$(FLAVOR)),stb,$(shell $(FIND_JPEG)))
JPEG ?= $(JPEG_FOUND)
ifeq ($(filter turbo stb,$(JPEG)),)
$(error JPEG=$(JPEG): it is turbo or stb)
endif
# The other decoder's products lie apart; the objects are the same.
OTHER := $(if $(filter $(JPEG_FOUND),$(JPEG)),,-$(JPEG))
# The release flavor of the default compiler is what lands in build/ itself.
OUT := $(if $(filter build/release,$(OBJ)$(OTHER)),build,$(OBJ)$(OTHER))

WARN := -Wall -Wextra -Wshadow -Wundef -Wvla -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wdouble-promotion -Wformat=2 $(if $(WERROR),-Werror)
OPT_release := -O3 -g
OPT_ndebug := -O3 -DNDEBUG
OPT_debug := -O0 -g3
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan := -O1 -g -fsanitize=thread
OPT_coverage := -O0 -g --coverage
OPT_fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer
# The parsers alone, in 32 bits: the kernel's headers from where those of 64 bits lie, as a cross compiler's package and the
# one that links them elsewhere exclude each other; SSE so that numbers round as they do elsewhere.
M32_HEADERS := -idirafter /usr/include/x86_64-linux-gnu
OPT_m32 := -O1 -g -m32 $(M32_HEADERS) -msse2 -mfpmath=sse -fsanitize=address,undefined -fno-sanitize-recover=all
OPT := $(OPT_$(FLAVOR))
# Files may have more bytes than a 32-bit machine has addresses.
LARGE_FILES := $(if $(filter i%86 arm%,$(ARCH)),-D_FILE_OFFSET_BITS=64)
# No contraction: the same sums in every build; fused multiply-adds are written as such.
CFLAGS_ALL := -std=c11 -D_POSIX_C_SOURCE=200809L $(LARGE_FILES) -Iinclude -Isrc -fPIC -fvisibility=hidden -fno-math-errno \
	-ffp-contract=off -pthread -MMD -MP $(WARN) $(OPT) $(CFLAGS)
LIBS := $(if $(filter turbo,$(JPEG)),-ljpeg) -lopenblas -lutf8proc -lm -pthread $(LDFLAGS)
ifeq ($(FLAVOR),m32)
LIBS := -L$(CURDIR)/build/i386 -Wl,-rpath,$(CURDIR)/build/i386 -lutf8proc -lm -pthread $(LDFLAGS)
endif
LINK := $(CC) $(OPT) -pthread

# ---- Sources: every file below src/; kernels only for the architecture they are for --------------------------------
ISA_X86 := %_avx2.c %_avxvnni.c %_avx512.c %_amx.c
ISA_ARM := %_neon.c %_dotprod.c
LIB_SRC := $(sort $(wildcard src/*/*.c))
ifneq ($(ARCH),x86_64)
LIB_SRC := $(filter-out $(ISA_X86),$(LIB_SRC))
endif
ifneq ($(ARCH),aarch64)
LIB_SRC := $(filter-out $(ISA_ARM),$(LIB_SRC))
endif
LIB_SRC := $(filter-out src/image/$(if $(filter turbo,$(JPEG)),stb,turbo)_jpeg.c,$(LIB_SRC))
TOOL_SRC := $(sort $(wildcard tools/*.c tools/convert/*.c))
# The rooms that read foreign bytes: what the 32-bit build has.
ifeq ($(FLAVOR),m32)
LIB_SRC := $(filter src/base/% src/tensor/% src/image/% src/tokenizer/%,$(LIB_SRC))
TOOL_SRC := $(filter tools/convert/%,$(TOOL_SRC))
endif
TOOL_LIB_SRC := $(filter-out tools/main.c,$(TOOL_SRC))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
TEST_SRC := $(sort $(wildcard tests/kernels/test_*.c tests/unit/test_*.c tests/golden/test_*.c tests/robust/test_*.c))
# What the tests of the program call.
HELPER_SRC := $(sort $(wildcard tests/cli/*.c))
FUZZ_SRC := $(sort $(wildcard fuzz/fuzz_*.c) fuzz/seeds.c)
BENCH_SRC := $(sort $(wildcard bench/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))

obj = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
HELPERS := $(foreach t,$(HELPER_SRC),$(OUT)/tests/$(notdir $(basename $(t))))
TESTS := $(foreach t,$(TEST_SRC),$(OUT)/tests/$(notdir $(basename $(t))))

.DEFAULT_GOAL := all
.PHONY: all coverage demo fuzz test test-m32 test-memcheck test-ndebug test-clang-asan test-arm64 check bench install uninstall clean help deps deps-test tests examples format FORCE
.SECONDARY:

# What deps has installed a moment ago counts, too.
all: deps $(OUT)/glip $(OUT)/libglip.a $(OUT)/libglip.so $(OUT)/libglip.pc
	@[ '$(JPEG_FOUND)' = turbo ] || [ '$(FLAVOR)' = m32 ] || [ "$$($(FIND_JPEG))" = stb ] || \
		$(MAKE) --no-print-directory all

# V=1 shows the commands.
ifneq ($(V),1)
Q := @
say = @echo "  $(1) $(2)"
endif

# ---- Objects and libraries -----------------------------------------------------------------------------------------
$(OBJ)/%_avx2.o: ISA := -mavx2 -mfma
$(OBJ)/%_dotprod.o: ISA := -march=armv8.2-a+dotprod
# clang needs many minutes for these unrolled loops under its sanitizers, unless it leaves them as they are written. gcc
# does not, and they run three times faster for the tests where it optimizes them. Fuzzing wants speed: float32's on AVX2,
# of the same source as the others, keep the sanitizers there.
UNROLLED_fuzz := -fno-sanitize=address,undefined,fuzzer-no-link
KERNELS_asan := $(if $(filter clang,$(notdir $(CC))),-O0,-O2)
KERNELS := $(KERNELS_$(FLAVOR))
$(OBJ)/src/ops/kernels_avx2.o: ISA := -mavx2 -mfma $(KERNELS)
$(OBJ)/src/ops/narrow_%_avx2.o $(OBJ)/src/ops/narrow_%_avxvnni.o: ISA := -mavx2 -mfma $(UNROLLED_$(FLAVOR)) $(KERNELS)
$(OBJ)/tests/kernels/emulated_%_avx2.o: ISA := -mavx2 -mfma $(KERNELS)
$(OBJ)/%_avx512.o $(OBJ)/%_amx.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512 \
	$(UNROLLED_$(FLAVOR)) $(KERNELS)
$(OBJ)/tests/%.o: INC := -Itests -Itools
$(OBJ)/bench/%.o: INC := -Itests
$(OBJ)/fuzz/%.o: INC := -Itests -Itools -Ifuzz

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(ISA) $(INC) -c $< -o $@

# Changes where another decoder was chosen than at the last build: what consists of objects is made anew.
$(OUT)/jpeg-decoder: FORCE
	@mkdir -p $(@D)
	@echo $(JPEG) | cmp -s - $@ || echo $(JPEG) >$@
FORCE:

$(OUT)/libglip.a: $(LIB_OBJ) $(OUT)/jpeg-decoder
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $(LIB_OBJ)

$(OUT)/libglip.so.$(VERSION): $(LIB_OBJ) $(OUT)/jpeg-decoder
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -Wl,-soname,libglip.so.$(SOVERSION) -o $@ $(LIB_OBJ) $(LIBS)

$(OUT)/libglip.so: $(OUT)/libglip.so.$(VERSION)
	ln -sf $(<F) $(@D)/libglip.so.$(SOVERSION)
	ln -sf $(<F) $@

$(OUT)/libglip_tools.a: $(call obj,$(TOOL_LIB_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(OUT)/libglip_support.a: $(call obj,$(SUPPORT_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(OUT)/glip: $(OBJ)/tools/main.o $(OUT)/libglip_tools.a $(OUT)/libglip.a
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(OUT)/libglip.pc: Makefile $(OUT)/jpeg-decoder
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: libglip' \
		'Description: Grounded language-image detection (GLIP) in C' 'Version: $(VERSION)' \
		'Libs: -L$${libdir} -lglip' 'Libs.private: $(LIBS)' 'Cflags: -I$${includedir}' > $@

# ---- Tests ---------------------------------------------------------------------------------------------------------
# Functions of other libraries that a test puts itself in front of (the linker's --wrap).
WRAP_test_io_failures := open read pread mmap fstat fsync rename close fdopen fwrite fseek fflush fclose pthread_create
WRAP_test_jpeg_decode := jpeg_CreateDecompress

# Objects that only one test needs.
MORE_test_fuzz_replay := $(call obj,$(FUZZ_SRC))
MORE_test_jpeg_decode := $(if $(filter turbo,$(JPEG)),$(call obj,tests/unit/turbo_memory.c))
MORE_test_kernels_narrow := $(if $(filter x86_64,$(ARCH)),$(call obj,$(sort $(wildcard tests/kernels/emulated_*_avx2.c))))
MORE_test_kernels_narrow_rows := $(MORE_test_kernels_narrow)

# The folder of a test is part of its object's path, its name is unique.
define test_program
$(OUT)/tests/$(notdir $(basename $(1))): $(OBJ)/$(basename $(1)).o $(MORE_$(notdir $(basename $(1)))) $(OUT)/libglip_support.a $(OUT)/libglip_tools.a $(OUT)/libglip.a
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(LINK) -o $$@ $$^ $$(WRAP_$(notdir $(basename $(1))):%=-Wl,--wrap=%) -lcmocka $$(LIBS)
endef
$(foreach t,$(TEST_SRC),$(eval $(call test_program,$(t))))

$(foreach t,$(filter-out %/make_model.c,$(HELPER_SRC)),$(eval $(call test_program,$(t))))
# The demo needs this one and must do without the tests' library.
$(OUT)/tests/make_model: $(call obj,tests/cli/make_model.c tests/support/rule_weights.c tests/support/json.c) $(OUT)/libglip.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

tests: $(TESTS) $(HELPERS)

test: deps-test
	@$(MAKE) --no-print-directory all tests
	@scripts/run-tests $(OUT)

# The programs of some tests; those of what reads foreign bytes need neither a model nor BLAS.
programs = $(patsubst %,$(1)/tests/%,$(2))
tests_of = $(foreach folder,$(1),$(notdir $(basename $(wildcard tests/$(folder)/test_*.c))))
PARSER_TESTS := test_alloc test_weights test_malformed_gguf test_malformed_pth test_convert_pickle test_convert_readers \
	test_image_decode test_jpeg_decode test_wordpiece test_noun_phrases test_spans test_class_captions

# In 32 bits, under gcc's sanitizers; the two libraries that this takes are unpacked in build/i386.
test-m32: deps-test
	@scripts/foreign-libs i386 build/i386 libutf8proc2 libcmocka0
	@$(MAKE) --no-print-directory CC=gcc FLAVOR=m32 $(call programs,build/m32,$(PARSER_TESTS))
	@GLIP_TEST_STEP=$(or $(GLIP_TEST_STEP),3) scripts/run-tests build/m32 $(PARSER_TESTS)

# One case in 37 of the long series: valgrind is some thirty times slower.
test-memcheck: deps-test
	@$(MAKE) --no-print-directory $(call programs,$(OUT),$(PARSER_TESTS))
	@GLIP_TEST_STEP=$(or $(GLIP_TEST_STEP),37) TEST_TIMEOUT=900 TEST_TOOL="valgrind -q --error-exitcode=99 --leak-check=full" \
		scripts/run-tests $(OUT) $(PARSER_TESTS)

# Without assertions. Not the slowest test, the reference's cases: what they run through, test_bundled and the tests of the
# blocks do, too; with assertions they run in `make test`.
NDEBUG_TESTS := $(filter-out test_cases,$(call tests_of,unit golden robust))

test-ndebug: deps-test
	@$(MAKE) --no-print-directory CC=gcc FLAVOR=ndebug $(call programs,build/ndebug$(OTHER),$(NDEBUG_TESTS))
	@scripts/run-tests build/ndebug$(OTHER) $(NDEBUG_TESTS)

test-clang-asan: deps-test
	@$(MAKE) --no-print-directory CC=clang FLAVOR=asan $(call programs,build/clang-asan$(OTHER),$(call tests_of,unit robust))
	@GLIP_TEST_STEP=$(or $(GLIP_TEST_STEP),3) TEST_TIMEOUT=900 scripts/run-tests build/clang-asan$(OTHER) $(call tests_of,unit robust)

# The kernels on ARM: a cross compiler, and qemu, which makes them some twenty times slower.
ARM64 := build/aarch64-linux-gnu-gcc-release
ARM64_TESTS ?= test_kernels_narrow test_kernels_narrow_rows test_kernels_rows

test-arm64:
	@scripts/deps arm64
	@scripts/foreign-libs arm64 build/arm64 libutf8proc2 libcmocka0 libopenblas0-pthread libgfortran5
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc CFLAGS="-idirafter /usr/include/$(shell uname -m)-linux-gnu" \
		LDFLAGS="-Lbuild/arm64 -Wl,-rpath-link,build/arm64" $(call programs,$(ARM64),$(ARM64_TESTS))
	@TEST_TIMEOUT=900 TEST_TOOL="qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=build/arm64" \
		scripts/run-tests $(ARM64) $(ARM64_TESTS)

# ---- Fuzzing: libFuzzer, so clang; each target for FUZZ_SECONDS, its finds in build/fuzz/TARGET ------------------------
# What the runs did stands in build/fuzz/table.txt. With FUZZ_TABLE=FILE a run that was stopped goes on where it was: the
# targets that stand there are done.
FUZZ_TARGETS ?= gguf model checkpoint convert pickle json image wordpiece tagger phrases ground
FUZZ_SECONDS ?= 60
FUZZ_FLAGS ?= -timeout=10 -rss_limit_mb=1024
FUZZ_JOBS ?= 1
FUZZ_TABLE ?=
FUZZ_OUT := build/fuzz$(OTHER)

fuzz: deps-test
	@$(MAKE) --no-print-directory CC=clang FLAVOR=fuzz $(FUZZ_TARGETS:%=$(FUZZ_OUT)/fuzz_%) $(FUZZ_OUT)/make_seeds
	@$(if $(FUZZ_TABLE),,rm -f $(FUZZ_OUT)/table.txt)
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P $(FUZZ_JOBS) -I{} scripts/fuzz $(FUZZ_OUT) {} $(FUZZ_SECONDS) \
		$(or $(FUZZ_TABLE),$(FUZZ_OUT)/table.txt) $(FUZZ_FLAGS)

ifeq ($(FLAVOR),fuzz)
$(OBJ)/fuzz/entry_%.o: fuzz/entry.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(INC) -DFUZZ_TARGET=fuzz_$* -c $< -o $@

$(FUZZ_OUT)/fuzz_%: $(OBJ)/fuzz/entry_%.o $(call obj,$(FUZZ_SRC)) $(OUT)/libglip_support.a $(OUT)/libglip_tools.a $(OUT)/libglip.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -g -pthread -fsanitize=address,undefined,fuzzer -o $@ $^ -lcmocka $(LIBS)

$(FUZZ_OUT)/make_seeds: $(call obj,fuzz/make_seeds.c $(FUZZ_SRC)) $(OUT)/libglip_support.a $(OUT)/libglip_tools.a $(OUT)/libglip.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -g -pthread -fsanitize=address,undefined -o $@ $^ -lcmocka $(LIBS)
endif

# How much of the parsers their tests run through.
COVERAGE_TESTS := $(PARSER_TESTS) test_convert_model test_malformed test_alloc_failures test_io_failures test_fuzz_replay

coverage: deps-test
	@$(MAKE) --no-print-directory CC=gcc FLAVOR=coverage $(call programs,build/coverage$(OTHER),$(COVERAGE_TESTS))
	@GLIP_TEST_STEP=$(or $(GLIP_TEST_STEP),3) scripts/coverage build/coverage build/coverage$(OTHER) $(COVERAGE_TESTS)

# ---- Dependencies: installed with apt where possible, named where not ------------------------------------------------
deps:
	@scripts/deps build
deps-test:
	@scripts/deps test

demo: deps
	@$(MAKE) --no-print-directory all $(if $(wildcard weights/*.gguf),,$(OUT)/tests/make_model)
	@scripts/demo $(OUT)

check: deps-test
	@scripts/check

bench: deps
	@$(MAKE) --no-print-directory all
	@$(OUT)/glip bench -m weights/glip-demo.gguf

$(OUT)/bench/%: $(OBJ)/bench/%.o $(OUT)/libglip.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(OUT)/examples/%: $(OBJ)/examples/%.o $(OUT)/libglip.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

EXAMPLES := $(foreach e,$(EXAMPLE_SRC),$(OUT)/examples/$(notdir $(basename $(e))))
examples: deps
	@$(MAKE) --no-print-directory all $(EXAMPLES)

format:
	git ls-files '*.c' '*.h' | grep -v '^examples/simple.c$$' | xargs clang-format -i

# ---- Installation --------------------------------------------------------------------------------------------------
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/glip
	install -m 755 $(OUT)/glip $(DESTDIR)$(PREFIX)/bin/glip
	install -m 644 include/glip.h $(DESTDIR)$(PREFIX)/include/glip.h
	install -m 644 $(OUT)/libglip.a $(DESTDIR)$(PREFIX)/lib/libglip.a
	install -m 755 $(OUT)/libglip.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libglip.so.$(VERSION)
	ln -sf libglip.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libglip.so.$(SOVERSION)
	ln -sf libglip.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libglip.so
	sed 's|^prefix=.*|prefix=$(PREFIX)|' $(OUT)/libglip.pc > $(DESTDIR)$(PREFIX)/lib/pkgconfig/libglip.pc
	for f in $(wildcard weights/*.gguf); do install -m 644 $$f $(DESTDIR)$(PREFIX)/share/glip/ || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/glip $(DESTDIR)$(PREFIX)/include/glip.h $(DESTDIR)$(PREFIX)/lib/libglip.* \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/libglip.pc
	rm -rf $(DESTDIR)$(PREFIX)/share/glip

clean:
	rm -rf build

help:
	@printf '%s\n' 'make            build/glip, build/libglip.a, build/libglip.so' \
		'make demo       build, ground a picture, name the drawn result' \
		'make test       build and run all tests' \
		'make check      include rules, exported symbols, warnings as errors (gcc, clang), formatting, each CPU mask' \
		'make examples   the programs of examples/' 'make format     lay out all C files with clang-format' \
		'make bench      timings of kernels and of the whole model' \
		'make fuzz       each fuzz target for FUZZ_SECONDS (60), with clang' \
		'make coverage   how much of the parsers the tests run through' \
		'make test-m32 | test-memcheck | test-ndebug | test-clang-asan | test-arm64' \
		'                the parsers in 32 bits and under valgrind, tests without assertions and under clang'"'"'s sanitizers,' \
		'                kernels on ARM under qemu' \
		'make install    to PREFIX ($(PREFIX)), below DESTDIR' \
		'FLAVOR=asan|tsan|debug|ndebug|coverage and CC=clang choose other builds' \
		'JPEG=turbo|stb  who decodes JPEG: libjpeg-turbo (the default where it is found) or stb_image'

-include $(shell find build -name '*.d' 2>/dev/null)
