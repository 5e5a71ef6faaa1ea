#include "glip/session.h"

#include <stdio.h>

#include "base/cpu.h"
#include "glip/clock.h"
#include "glip/options.h"
#include "glip/profile.h"
#include "image/jpeg_decode.h"

void glip_session_options_init(struct glip_session_options *options)
{
	*options = (struct glip_session_options){.struct_size = sizeof *options};
}

static bool is_cancelled(void *user)
{
	struct glip_session *s = user;
	if (!s->cancelled && s->options.progress != NULL) {
		s->cancelled = s->options.progress(s->options.progress_user, s->fraction) != 0;
		s->asked_ms = glip__clock_ms();
	}
	return s->cancelled;
}

/* For the pool, which asks after each piece of work: far more often than a caller wants to be called. */
static bool is_given_up(void *user)
{
	enum { BETWEEN_CALLS_MS = 5 };
	const struct glip_session *s = user;
	if (s->cancelled || glip__clock_ms() - s->asked_ms < BETWEEN_CALLS_MS)
		return s->cancelled;
	return is_cancelled(user);
}

enum glip_status glip__session_progress(struct glip_session *s, float fraction)
{
	s->fraction = fraction;
	if (is_cancelled(s))
		return glip__fail(s->ops.err, GLIP_ERR_CANCELLED, "cancelled by the progress callback");
	return GLIP_OK;
}

enum glip_status glip__session_complete(const struct glip_session *s)
{
	return s->cancelled ? glip__fail(s->ops.err, GLIP_ERR_CANCELLED, "cancelled by the progress callback") : GLIP_OK;
}

void glip__session_begin(struct glip_session *s, struct glip_error *err)
{
	s->ops.err = err;
	s->cancelled = false;
	s->fraction = 0;
}

void glip__session_end(struct glip_session *s)
{
	s->ops.err = NULL;
	glip__arena_reset(&s->arena);
}

static enum glip_status start(struct glip_session *s, struct glip_error *err)
{
	const struct glip_session_options *o = &s->options;
	if (o->threads < 0 || o->threads > 64)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "threads is %d: must be 0 (all processors) to 64", o->threads);
	if ((int)o->gemm < GLIP_GEMM_AUTO || o->gemm > GLIP_GEMM_BLAS)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "gemm is %d: not a value of enum glip_gemm", (int)o->gemm);
	if ((int)o->compute < GLIP_COMPUTE_AUTO || o->compute > GLIP_COMPUTE_I16)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "compute is %d: not a value of enum glip_compute", (int)o->compute);
	uint32_t available = glip__cpu_flags();
	uint32_t mask = o->cpu_mask != 0 ? o->cpu_mask & available : available;
	if (mask == 0)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "cpu_mask 0x%x names no instruction set of this machine (0x%x)",
		                  (unsigned)o->cpu_mask, (unsigned)available);
	TRY(glip__pool_create(o->threads != 0 ? o->threads : glip__cpu_count(), &s->allocator, &s->pool, err));
	if (o->progress != NULL)
		glip__pool_set_stop(s->pool, is_given_up, s);
	/* Plain C loops are slower than OpenBLAS: without vector kernels the automatic choice is BLAS. */
	bool vectors = (mask & ~(uint32_t)GLIP_CPU_SCALAR) != 0;
	enum glip_gemm automatic = vectors ? GLIP_GEMM_NATIVE : GLIP_GEMM_BLAS;
	enum glip_gemm gemm = o->gemm == GLIP_GEMM_AUTO ? automatic : o->gemm;
	s->ops = (struct ops){
		.kernels = glip__kernels(mask),
		.pool = s->pool,
		.arena = &s->arena,
		.gemm = gemm,
		.narrow = gemm == GLIP_GEMM_NATIVE ? glip__narrow_kernels(o->compute, mask) : NULL,
		.cache = glip__cpu_cache(),
		.panels = s->model->panels,
		.cancelled = is_cancelled,
		.cancel_user = s,
	};
	if (s->ops.narrow)
		s->ops.narrow_16 = glip__narrow_kernels(GLIP_COMPUTE_I16, mask);
	return GLIP_OK;
}

enum glip_status glip_session_create(const struct glip_model *model, const struct glip_session_options *options,
                                     struct glip_session **out, struct glip_error *err)
{
	if (out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_session_create: out is NULL");
	*out = NULL;
	if (model == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_session_create: model is NULL");
	struct glip_session_options o;
	glip_session_options_init(&o);
	TRY(OPTIONS_COPY(&o, options, "glip_session_options", err));
	struct glip_session *s = glip__calloc(&model->allocator, 1, sizeof *s);
	if (s == NULL)
		return glip__fail_nomem(err, "a session", sizeof *s);
	s->allocator = model->allocator;
	s->model = model;
	s->options = o;
	s->candidates.allocator = s->detections.allocator = &s->allocator;
	glip__arena_init(&s->arena, &s->allocator);
	enum glip_status status = start(s, err);
	if (status != GLIP_OK) {
		glip_session_free(s);
		return status;
	}
	*out = s;
	return GLIP_OK;
}

void glip_session_free(struct glip_session *s)
{
	if (s == NULL)
		return;
	glip__pool_free(s->pool);
	glip__arena_free(&s->arena);
	glip__buf_free(&s->candidates);
	glip__buf_free(&s->detections);
	struct glip_allocator allocator = s->allocator;
	glip__free(&allocator, s);
}

void glip__session_profile(struct glip_session *s, void (*stage_done)(void *user, const char *stage), void *user)
{
	s->ops.stage_done = stage_done;
	s->ops.stage_user = user;
}

double glip__session_multiply_adds(const struct glip_session *s)
{
	return s->ops.multiply_adds;
}

void glip_build_info(char *out, size_t size)
{
	uint32_t flags = glip__cpu_flags();
#if defined(__clang__)
	const char *compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
	const char *compiler = "gcc " __VERSION__;
#else
	const char *compiler = "unknown";
#endif
	snprintf(out, size,
	         "libglip: %s\ncompiler: %s\nkernels:%s%s%s%s%s%s%s%s%s\nmatrix products: own, OpenBLAS\n"
	         "images: JPEG by %s, PNG and BMP by stb_image, PNM\n",
	         glip_version(), compiler, flags & GLIP_CPU_AMX_INT8 ? " amx-int8" : "",
	         flags & GLIP_CPU_AVX512_BF16 ? " avx512-bf16" : "", flags & GLIP_CPU_AVX512_VNNI ? " avx512-vnni" : "",
	         flags & GLIP_CPU_AVX512 ? " avx512" : "", flags & GLIP_CPU_AVX_VNNI ? " avx-vnni" : "",
	         flags & GLIP_CPU_AVX2 ? " avx2" : "", flags & GLIP_CPU_NEON_DOTPROD ? " neon-dotprod" : "",
	         flags & GLIP_CPU_NEON ? " neon" : "", " scalar", glip__jpeg_decoder());
}
