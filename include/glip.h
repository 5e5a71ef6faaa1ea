/*
 * libglip: find in a picture whatever a text names.
 *
 * GLIP (Grounded Language-Image Pre-training) takes an image and a caption and returns boxes, each with the part of
 * the caption it shows and a score. A complete program (also examples/simple.c):
 *
 *     #include <glip.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         if (argc != 3) {
 *             fprintf(stderr, "usage: %s MODEL.gguf IMAGE\n", argv[0]);
 *             return 2;
 *         }
 *         const char *names[] = {"cat", "dog", "traffic light"};
 *         struct glip_error err;
 *         struct glip_model *model = NULL;
 *         struct glip_session *session = NULL;
 *         struct glip_prompt *prompt = NULL;
 *         struct glip_image image = {0};
 *         struct glip_result *result = NULL;
 *
 *         if (glip_model_load(argv[1], NULL, &model, &err) || glip_session_create(model, NULL, &session, &err) ||
 *             glip_prompt_classes(session, names, 3, NULL, &prompt, &err) ||
 *             glip_image_load(argv[2], NULL, &image, &err) ||
 *             glip_ground(session, &image, prompt, NULL, &result, &err))
 *             fprintf(stderr, "%s\n", err.message);
 *         for (size_t i = 0; i < glip_result_count(result); i++) {
 *             const struct glip_detection *d = glip_result_detection(result, i);
 *             printf("%s %.3f  %.1f %.1f %.1f %.1f\n", glip_prompt_label(prompt, d->label)->text, (double)d->score,
 *                    (double)d->box[0], (double)d->box[1], (double)d->box[2], (double)d->box[3]);
 *         }
 *         int failed = result == NULL;
 *         glip_result_free(result);
 *         glip_image_free(&image);
 *         glip_prompt_free(prompt);
 *         glip_session_free(session);
 *         glip_model_free(model);
 *         return failed;
 *     }
 *
 * Objects. A model is immutable once loaded and may be used by any number of threads. A session holds scratch memory
 * and worker threads: one per calling thread, never two calls at once on one session. A prompt is an encoded text, a
 * features object an encoded image; both are immutable, outlive the session that made them, and may be used with any
 * session on the same model. The model must outlive everything made from it. Every *_free() accepts NULL.
 *
 * Errors. A call that can fail returns enum glip_status: GLIP_OK (0) or a negative value. Where it takes a struct
 * glip_error (may be NULL) the message names the file, tensor, label or field at fault. On failure an out-parameter is
 * NULL, or untouched where it is not a pointer to an object. The library never exits, prints, or reads the environment.
 *
 * Options. A NULL options pointer means the defaults. Otherwise call glip_X_options_init() first, then set fields: it
 * also sets struct_size, which lets old programs run with newer libraries.
 *
 * Units. Boxes are x1, y1, x2, y2 in pixels of the image as it was passed in; scores are 0..1; text positions are code
 * points of the caption, end exclusive; captions and names are UTF-8.
 */
#ifndef GLIP_H
#define GLIP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(GLIP_SHARED)
#define GLIP_API __declspec(dllexport)
#elif defined(__GNUC__)
#define GLIP_API __attribute__((visibility("default")))
#else
#define GLIP_API
#endif

#define GLIP_VERSION_MAJOR 0
#define GLIP_VERSION_MINOR 1
#define GLIP_VERSION_PATCH 0

/* "0.1.0"; static. */
GLIP_API const char *glip_version(void);

/* What the library was built with and which kernels this machine would run, "key: value" lines, cut to `size` bytes
 * with a terminator. For bug reports and `glip --version`. Thread-safe. */
GLIP_API void glip_build_info(char *out, size_t size);

/* ---- Status and errors ------------------------------------------------------------------------------------------ */

enum glip_status {
	GLIP_OK = 0,
	GLIP_ERR_ARGUMENT = -1,    /* a caller's argument is NULL, out of range or contradictory */
	GLIP_ERR_NOMEM = -2,       /* an allocation failed */
	GLIP_ERR_IO = -3,          /* a file cannot be opened, read, mapped or written */
	GLIP_ERR_FORMAT = -4,      /* a file is not what it claims to be, or is damaged */
	GLIP_ERR_UNSUPPORTED = -5, /* well-formed, but a kind this library does not handle */
	GLIP_ERR_MODEL = -6,       /* a model lacks a tensor, or its metadata contradicts its tensors */
	GLIP_ERR_IMAGE = -7,       /* an image cannot be decoded, or is too large */
	GLIP_ERR_TEXT = -8,        /* a caption is not UTF-8, a phrase is not in it, a span lies outside it */
	GLIP_ERR_LIMIT = -9,       /* a documented limit is exceeded */
	GLIP_ERR_CANCELLED = -10,  /* the progress callback asked to stop */
	GLIP_ERR_THREAD = -11      /* a worker thread cannot be started */
};

/* Short constant text for a status ("out of memory"); never NULL, also for unknown values. */
GLIP_API const char *glip_status_str(enum glip_status status);

/* Filled on failure; message is always terminated. Caller-owned; every err parameter may be NULL. */
struct glip_error {
	enum glip_status code;
	char message[256];
};

/* ---- Allocation and logging ------------------------------------------------------------------------------------- */

/* Every allocation of an object goes through the allocator it was made with. alloc returns memory aligned to `align`
 * (a power of two, at most 4096) or NULL; both must be callable from any thread. */
struct glip_allocator {
	void *(*alloc)(void *user, size_t size, size_t align);
	void (*free)(void *user, void *pointer);
	void *user;
};

enum glip_log_level { GLIP_LOG_ERROR = 0, GLIP_LOG_WARNING = 1, GLIP_LOG_INFO = 2, GLIP_LOG_DEBUG = 3 };

/* One message without a line end. May be called from the calling thread only. */
typedef void (*glip_log_fn)(void *user, enum glip_log_level level, const char *message);

/* ---- Model ------------------------------------------------------------------------------------------------------ */

struct glip_model;

struct glip_model_options {
	size_t struct_size;
	const struct glip_allocator *allocator; /* copied; NULL: malloc and free */
	glip_log_fn log;                        /* NULL: silent */
	void *log_user;
	int no_mmap; /* read the file into memory instead of mapping it: a mapped file must not shrink while in use */
};

GLIP_API void glip_model_options_init(struct glip_model_options *options);

/* Opens a model file made by `glip convert` and checks that everything is there. The weights stay in the file mapping,
 * shared with other processes. Errors: IO, FORMAT, UNSUPPORTED, MODEL, NOMEM. */
GLIP_API enum glip_status glip_model_load(const char *path, const struct glip_model_options *options,
                                          struct glip_model **out, struct glip_error *err);
GLIP_API void glip_model_free(struct glip_model *model);

struct glip_model_info {
	size_t struct_size;
	const char *variant; /* general.name of the file, e.g. "GLIP-T"; lives as long as the model */
	int max_tokens;      /* longest caption in tokens, [CLS] and [SEP] included (256) */
	int channels;        /* of the head (256) */
	int text_hidden;     /* BERT's width (768) */
	int fusion;          /* 1 where the head fuses image and text, 0 for GLIP-A */
	uint64_t parameters; /* number of weights */
	uint64_t file_bytes;
	int short_side, long_side; /* network pixels that images are read at unless options say otherwise (800, 1333) */
};

/* Fills *info (set struct_size first). Errors: ARGUMENT. */
GLIP_API enum glip_status glip_model_get_info(const struct glip_model *model, struct glip_model_info *info);

/* ---- Session ---------------------------------------------------------------------------------------------------- */

struct glip_session;

/* One named activation, as PyTorch would hold it: float32, contiguous, `shape` of `ndim` entries (at most 4), images
 * as (1, C, H, W), texts as (1, 256, C) with zero at padding. Names: input, swin.stage1..4, fpn.p3..p7, bert.hidden,
 * bert.embedded, head.I.fuse.p3..p7, head.I.fuse.lang, head.I.bert.lang, head.I.dyconv.p3..p7, out.bbox_reg.p3..p7,
 * out.centerness.p3..p7, out.dot_logits.p3..p7. `data` is valid during the call only. */
typedef void (*glip_observer_fn)(void *user, const char *name, const float *data, const int64_t *shape, int ndim);

/* Called by the thread that made the call, between steps of a forward pass and within long ones every few milliseconds,
 * with the fraction done (0..1). A non-zero return cancels the pass: the call returns GLIP_ERR_CANCELLED, well within
 * 100 ms, and the session stays usable. */
typedef int (*glip_progress_fn)(void *user, float fraction);

enum glip_gemm { GLIP_GEMM_AUTO = 0, GLIP_GEMM_NATIVE = 1, GLIP_GEMM_BLAS = 2 };

/* The numbers that large matrix products of a pass are made with. Sums are float32 or int32, everything else is float32
 * throughout: norms, softmax, attention, activations, and the layers that the network ends in; but beside any of the
 * narrower numbers the fusion's attention and the offsets of the deformable convolutions are made of 16-bit integers,
 * where the machine has I16. Weights are converted at their first use, whatever the file holds, and kept with the model
 * in that form, once for each kind in use; for F32, only those of products of few rows, and no more than 112 MiB. */
enum glip_compute {
	GLIP_COMPUTE_AUTO = 0, /* F32 */
	GLIP_COMPUTE_F32 = 1,
	GLIP_COMPUTE_BF16 = 2, /* as I16 where the machine has that; otherwise bfloat16, 8 bits of mantissa */
	GLIP_COMPUTE_I8 = 3,   /* 8-bit integers: weights scaled per output channel, activations per position */
	GLIP_COMPUTE_I16 = 4   /* 16-bit integers, scaled by rows or runs of 256: over ten times as exact as bfloat16 */
};

struct glip_session_options {
	size_t struct_size;
	int threads;               /* 0: as many as the process may use, at most 64 */
	enum glip_gemm gemm;       /* matrix products by own kernels or by OpenBLAS; AUTO: own where there are some */
	uint32_t cpu_mask;         /* instruction sets that may be used (glip_cpu_flags); 0: all that make it faster */
	glip_observer_fn observer; /* NULL: none. Copies and transposes every activation: for debugging */
	void *observer_user;
	glip_progress_fn progress; /* NULL: none */
	void *progress_user;
	/* Own kernels only, and only where narrower numbers are faster on the machine; elsewhere float32 is used. I8 and
	 * I16: AMX_INT8, AVX512_VNNI, AVX_VNNI, or AVX2 without AVX512; I8 also NEON_DOTPROD. BF16: as I16, or AVX512_BF16
	 * where that is allowed without integers. */
	enum glip_compute compute;
};

enum glip_cpu_flags {
	GLIP_CPU_SCALAR = 1u << 0, /* plain C, always there */
	GLIP_CPU_AVX2 = 1u << 1,   /* with FMA */
	GLIP_CPU_AVX512 = 1u << 2, /* F, BW, DQ, VL */
	GLIP_CPU_NEON = 1u << 3,
	GLIP_CPU_AVX512_BF16 = 1u << 4,  /* beside AVX512: products of bfloat16 */
	GLIP_CPU_AVX512_VNNI = 1u << 5,  /* beside AVX512: products of 8-bit and 16-bit integers */
	GLIP_CPU_AVX_VNNI = 1u << 6,     /* beside AVX2: the same */
	GLIP_CPU_NEON_DOTPROD = 1u << 7, /* beside NEON: products of 8-bit integers */
	GLIP_CPU_AMX_INT8 = 1u << 8      /* beside AVX512_VNNI: the same, a tile at a time */
};

/* The instruction sets of this machine that the library has kernels for. Where it has AMX_INT8 a Linux process needs
 * the right to its registers: this function, glip_build_info() and glip_session_create() ask for it. Signal stacks
 * (sigaltstack) have to have room for them from then on, as sysconf(_SC_SIGSTKSZ) says; the right, and so the flag, is
 * refused where a thread has a smaller one. */
GLIP_API uint32_t glip_cpu_detect(void);

GLIP_API void glip_session_options_init(struct glip_session_options *options);

/* Scratch memory is taken from the allocator at the first use and kept; a later image of the same size allocates
 * nothing but its result. Results do not depend on `threads` with own kernels. Errors: ARGUMENT, NOMEM, THREAD. */
GLIP_API enum glip_status glip_session_create(const struct glip_model *model,
                                              const struct glip_session_options *options, struct glip_session **out,
                                              struct glip_error *err);
GLIP_API void glip_session_free(struct glip_session *session);

/* ---- Images ----------------------------------------------------------------------------------------------------- */

enum glip_pixel_format {
	GLIP_PIXEL_RGB = 0,
	GLIP_PIXEL_BGR = 1,
	GLIP_PIXEL_RGBA = 2,
	GLIP_PIXEL_BGRA = 3,
	GLIP_PIXEL_GRAY = 4
};

/* 8-bit pixels, top row first. Where the caller owns the pixels, `owner` is NULL and nothing is ever written through
 * `pixels`. Alpha is ignored (the original drops it too). */
struct glip_image {
	const uint8_t *pixels;
	int width, height; /* pixels */
	ptrdiff_t stride;  /* bytes from one row to the next; 0: packed */
	enum glip_pixel_format format;
	void *owner; /* set by glip_image_load and _decode: what glip_image_free releases */
};

struct glip_image_options {
	size_t struct_size;
	const struct glip_allocator *allocator; /* copied; NULL: malloc and free */
	uint64_t max_pixels;                    /* default 64 * 1024 * 1024 */
	uint64_t max_bytes;                     /* memory the decoder may take in all; default 1 GiB */
};

GLIP_API void glip_image_options_init(struct glip_image_options *options);

/* Decodes JPEG, PNG, BMP and PNM (binary: P5, P6) to 8-bit RGB: grey is spread, alpha dropped, 16-bit cut to its high
 * byte. JPEG is decoded by libjpeg-turbo, to the pixels that Pillow gives, unless the library was built without it
 * (glip_build_info). Pixels stay as stored: an EXIF orientation is not applied, as in the original, so that boxes fit
 * the file. The size is checked before anything is decoded. Errors: IO, IMAGE (not an image, damaged, truncated),
 * UNSUPPORTED (CMYK JPEG and the like), LIMIT (too large; a JPEG of more than 65500 pixels in width or height, or of
 * more than 100 scans), NOMEM; `name` stands in messages. */
GLIP_API enum glip_status glip_image_load(const char *path, const struct glip_image_options *options,
                                          struct glip_image *out, struct glip_error *err);
GLIP_API enum glip_status glip_image_decode(const void *data, size_t size, const char *name,
                                            const struct glip_image_options *options, struct glip_image *out,
                                            struct glip_error *err);
/* Releases what load or decode took and zeroes *image; does nothing to an image that the caller owns. */
GLIP_API void glip_image_free(struct glip_image *image);

/* ---- Prompts ---------------------------------------------------------------------------------------------------- */

struct glip_prompt;

struct glip_span {
	int begin, end; /* code points of the caption, end exclusive */
};

enum glip_label_flags {
	GLIP_LABEL_NEGATIVE = 1u << 0 /* the words stand in the caption and draw attention, but are never reported */
};

/* A label of a caption: its parts of the text. Also what glip_prompt_label returns. */
struct glip_label {
	const char *text;              /* name; NULL when creating: the text of the spans */
	const struct glip_span *spans; /* in the caption of the chunk that holds it */
	size_t span_count;
	float threshold; /* boxes of this label need more than this; 0: the threshold of the call */
	uint32_t flags;  /* enum glip_label_flags */
};

/* A class for glip_prompt_class_list: one id whatever its number of names. */
struct glip_class {
	const char *const *names; /* names[0] is reported; the rest are synonyms, each a span of the same label */
	size_t name_count;
	const char *prefix, *suffix; /* words around each name in the caption, outside its span; NULL: the options' */
	float threshold;             /* as in struct glip_label */
	uint32_t flags;
};

enum glip_aggregation { GLIP_SCORE_MEAN = 0, GLIP_SCORE_MAX = 1 };

struct glip_prompt_options {
	size_t struct_size;
	const char *separator;             /* between class names; default ". "; the original demo: " . " */
	int trailing_separator;            /* 1: also after the last name, as the original demo writes it */
	const char *prefix, *suffix;       /* around every class name: "a photo of ", ", a kind of bird"; default none */
	int classes_per_pass;              /* 0: as many as fit the model's tokens; N: at most N (LVIS setting: 40) */
	enum glip_aggregation aggregation; /* a label's score over its tokens: mean (official) or max */
	int merge_phrases;                 /* glip_prompt_caption: equal phrases become one label of several spans */
};

GLIP_API void glip_prompt_options_init(struct glip_prompt_options *options);

/* A prompt from class names: names joined by the separator, one label each, ids in the order given. A list that does
 * not fit the model's tokens is cut into chunks between names; grounding encodes the image once and runs the head per
 * chunk. Names are cleaned as the original does: "(...)" dropped, "_" to space, double spaces to one.
 * Errors: ARGUMENT (no class), TEXT (an empty or repeated name, one not UTF-8: named), LIMIT (one name longer than
 * the model's tokens), NOMEM. */
GLIP_API enum glip_status glip_prompt_classes(struct glip_session *session, const char *const *names, size_t count,
                                              const struct glip_prompt_options *options, struct glip_prompt **out,
                                              struct glip_error *err);

/* The same with synonyms, words around a name, thresholds and negative classes. */
GLIP_API enum glip_status glip_prompt_class_list(struct glip_session *session, const struct glip_class *classes,
                                                 size_t count, const struct glip_prompt_options *options,
                                                 struct glip_prompt **out, struct glip_error *err);

/* A prompt from a caption: its noun phrases become the labels, in order (NLTK's tokenizer and perceptron tagger, the
 * original's grammar). A caption without a noun phrase is one label as a whole. Errors: TEXT, LIMIT, NOMEM. */
GLIP_API enum glip_status glip_prompt_caption(struct glip_session *session, const char *caption,
                                              const struct glip_prompt_options *options, struct glip_prompt **out,
                                              struct glip_error *err);

/* A prompt from a caption and labels with spans; count 0: the whole caption is one label. A caption longer than the
 * model's tokens is cut; a label with tokens past the cut is kept and marked (glip_prompt_warning). Errors: TEXT (a
 * span empty, reversed or past the end, naming it), NOMEM. */
GLIP_API enum glip_status glip_prompt_labels(struct glip_session *session, const char *caption,
                                             const struct glip_label *labels, size_t count,
                                             const struct glip_prompt_options *options, struct glip_prompt **out,
                                             struct glip_error *err);

GLIP_API void glip_prompt_free(struct glip_prompt *prompt);

GLIP_API size_t glip_prompt_label_count(const struct glip_prompt *prompt);
/* `label` counts from 0; NULL past the end. Lives as long as the prompt. */
GLIP_API const struct glip_label *glip_prompt_label(const struct glip_prompt *prompt, size_t label);
/* The captions the model reads: one, or one per chunk of a class list. */
GLIP_API size_t glip_prompt_chunk_count(const struct glip_prompt *prompt);
GLIP_API const char *glip_prompt_chunk_caption(const struct glip_prompt *prompt, size_t chunk);
/* Which chunk holds a label. */
GLIP_API size_t glip_prompt_label_chunk(const struct glip_prompt *prompt, size_t label);
/* Token ids of a chunk, [CLS] first and [SEP] last; *count receives their number. */
GLIP_API const int32_t *glip_prompt_chunk_tokens(const struct glip_prompt *prompt, size_t chunk, size_t *count);
/* What a user should be told: words unknown to the model ([UNK]), labels past the cut. Messages count from 0; NULL
 * past the last. */
GLIP_API const char *glip_prompt_warning(const struct glip_prompt *prompt, size_t index);

/* The first place where `phrase` stands in `caption` as whole words, letter case ignored ("car" is not in "cart").
 * Errors: TEXT (not there; either not UTF-8 or empty), NOMEM. */
GLIP_API enum glip_status glip_find_phrase(const char *caption, const char *phrase, struct glip_span *out,
                                           struct glip_error *err);

struct glip_phrases;

struct glip_word {
	const char *text; /* lower case, as NLTK's tokenizer cuts and writes it: a double quote is `` or '' */
	const char *tag;  /* Penn Treebank tag, "NN" */
	struct glip_span span;
};

struct glip_phrase {
	const char *text; /* its words, joined by one space */
	struct glip_span span;
	size_t first_word, word_count; /* into the words */
};

/* The noun phrases of a caption, each with its own span: words, tags and phrases equal NLTK's, but several sentences
 * are told apart and "car" never hits "cart". Needs no model. Errors: TEXT (empty, not UTF-8), NOMEM. */
GLIP_API enum glip_status glip_phrases_create(const char *caption, const struct glip_allocator *allocator,
                                              struct glip_phrases **out, struct glip_error *err);
GLIP_API void glip_phrases_free(struct glip_phrases *phrases);
/* Pointers live as long as *phrases; *count receives their number. */
GLIP_API const struct glip_phrase *glip_phrases_list(const struct glip_phrases *phrases, size_t *count);
GLIP_API const struct glip_word *glip_phrases_words(const struct glip_phrases *phrases, size_t *count);

/* ---- Grounding -------------------------------------------------------------------------------------------------- */

struct glip_ground_options {
	size_t struct_size;
	int short_side;     /* network pixels of the image's short side; default 0: the model's own (glip_model_info) */
	int long_side;      /* upper bound of the long side; default -1: the model's; 0: none (the original demo's rule) */
	float threshold;    /* boxes at or below this score are dropped; default 0.5 */
	float score_floor;  /* candidates need a label score above this before centerness; default 0.05 */
	float nms;          /* IoU above which the weaker box of a label is dropped; default 0.6 */
	int max_candidates; /* (position, label) pairs kept per level; default 1000 */
	int max_detections; /* over all labels; ties at the cut stay; default 100 (LVIS: 300) */
};

GLIP_API void glip_ground_options_init(struct glip_ground_options *options);

struct glip_detection {
	size_t label; /* index into the prompt's labels, from 0 */
	float score;  /* 0..1 */
	float box[4]; /* x1, y1, x2, y2 in pixels of the image passed in */
};

struct glip_timing {
	double preprocess_ms; /* resize, normalise */
	double backbone_ms;   /* Swin and FPN; 0 with cached features */
	double text_ms;       /* BERT; spent when the prompt was made */
	double head_ms;       /* fusion, dynamic head, outputs; all chunks */
	double boxes_ms;      /* decoding, suppression */
	double total_ms;      /* of this call */
};

struct glip_result;

/* Finds the prompt's labels in the image. Errors: ARGUMENT (an object of another model, an option out of range), IMAGE
 * (a side so thin that resizing leaves nothing), LIMIT, NOMEM, CANCELLED. */
GLIP_API enum glip_status glip_ground(struct glip_session *session, const struct glip_image *image,
                                      const struct glip_prompt *prompt, const struct glip_ground_options *options,
                                      struct glip_result **out, struct glip_error *err);
GLIP_API void glip_result_free(struct glip_result *result);

GLIP_API size_t glip_result_count(const struct glip_result *result); /* 0 for NULL */
/* Best first; NULL past the end. Lives as long as the result. */
GLIP_API const struct glip_detection *glip_result_detection(const struct glip_result *result, size_t index);
GLIP_API const struct glip_timing *glip_result_timing(const struct glip_result *result);

/* ---- Stages, for several prompts on one image -------------------------------------------------------------------- */

struct glip_features;

/* Resizes, normalises and encodes an image (Swin and FPN). Only the size fields of `options` matter. */
GLIP_API enum glip_status glip_features_create(struct glip_session *session, const struct glip_image *image,
                                               const struct glip_ground_options *options, struct glip_features **out,
                                               struct glip_error *err);
GLIP_API void glip_features_free(struct glip_features *features);

/* glip_ground on an encoded image: the same boxes, without the backbone's time. */
GLIP_API enum glip_status glip_ground_features(struct glip_session *session, const struct glip_features *features,
                                               const struct glip_prompt *prompt,
                                               const struct glip_ground_options *options, struct glip_result **out,
                                               struct glip_error *err);

/* ---- Drawing ---------------------------------------------------------------------------------------------------- */

struct glip_draw_box {
	float box[4];     /* x1, y1, x2, y2 in pixels */
	size_t color;     /* index into the palette, wraps around: use the label */
	const char *text; /* UTF-8; NULL: a box without text */
};

/* Draws boxes with their texts over a copy of the image and writes it to `path`: PNG or JPEG by its ending. Line width
 * and text size follow the image's size. Written to a temporary name and renamed. Errors: ARGUMENT (ending), IO,
 * NOMEM. */
GLIP_API enum glip_status glip_draw(const struct glip_image *image, const struct glip_draw_box *boxes, size_t count,
                                    const char *path, const struct glip_allocator *allocator, struct glip_error *err);

#ifdef __cplusplus
}
#endif

#endif /* GLIP_H */
