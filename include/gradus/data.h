/* data.h - data sets from files and memory, and batches drawn from them. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_DATA_H
#define GRADUS_DATA_H

#include <gradus/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- a data set: samples, and what is to be learned of each --- */

/* Rows of token numbers, each as long as it is: row i is ids[begin[i]] up to ids[begin[i + 1]]. */
typedef struct gr_rows {
    int64_t *begin; /* [n + 1] */
    int64_t *ids;
    int64_t vocabulary; /* 0 <= ids < vocabulary */
    int64_t pad;        /* fills the end of shorter rows in a batch */
} gr_rows;

/* Writes sample `index` to x [shape], its label to *y (NULL: no classes), its target to target
 * [target_shape] (NULL: none). Called on one thread at a time, that of gr_next or of the prefetch. */
typedef gr_status gr_read_fn(void *user, int64_t index, float *x, int64_t *y, float *target);

/* Every source gives one of these; belongs to the caller. Samples lie in x or are read on demand. */
typedef struct gr_dataset {
    int64_t n;
    gr_shape shape;      /* of one sample: [1,28,28]; [0] when a sample is rows of tokens only */
    float *x;            /* [n, shape] row-major; NULL: read on demand */
    int64_t *y;          /* [n], 0 <= y < classes; NULL: read on demand, or no classes */
    int classes;         /* 0: none, `target` or `out` is what is to be learned */
    char name[32];
    char **class_names;  /* [classes], or NULL */
    gr_shape target_shape;
    float *target;       /* [n, target_shape]; NULL: none, or read on demand */
    bool has_target;
    gr_rows *in, *out;   /* tokens [n] in, and those to learn; NULL: none */
    gr_read_fn *read;    /* NULL: all in memory */
    void *user;          /* of read */
    void (*release)(void *user); /* at gr_dataset_free; or NULL */
} gr_dataset;

/* --- sources; NULL on failure, with gr_last_error --- */

GR_API gr_dataset *gr_dataset_new(gr_shape sample, int64_t n, int classes); /* zeros, to be filled */
GR_API gr_dataset *gr_dataset_new_targets(gr_shape sample, int64_t n, gr_shape target); /* the same, for regression */
GR_API gr_dataset *gr_dataset_from(gr_shape sample, int64_t n, int classes, const float *x, const int64_t *y); /* copies */
GR_API gr_dataset *gr_dataset_stream(gr_shape sample, int64_t n, int classes, gr_read_fn *read, void *user); /* larger than memory */
GR_API gr_rows *gr_rows_new(int64_t n, int64_t tokens, int64_t vocabulary); /* zeros, for gr_dataset_rows */
GR_API gr_dataset *gr_dataset_rows(gr_rows *in, gr_rows *out, int64_t n); /* takes both; out may be NULL */
GR_API void gr_dataset_free(gr_dataset *d);                                 /* NULL is fine */
GR_API gr_dataset *gr_digits(void); /* UCI optical digits: 1797 of [1,8,8], pixels 0..16 as 0..1, 10 classes; embedded */
GR_API gr_dataset *gr_mnist(const char *folder, bool train); /* the IDX files, plain or .gz; pixels 0..1 */
GR_API gr_dataset *gr_cifar10(const char *folder, bool train); /* data_batch_1..5.bin or test_batch.bin; [3,32,32], pixels 0..1 */
GR_API gr_dataset *gr_cifar10_file(const char *path); /* one such file, plain or .gz */
GR_API gr_dataset *gr_dataset_subset(const gr_dataset *d, const int64_t *index, int64_t n); /* copies these rows; of a stream, d must outlive it */

/* One IDX array, plain or gzip: *data is row-major of *dtype (uint8 stays uint8, integers become
 * int64, floats float32 or float64); free with gr_free_memory. */
GR_API gr_status gr_idx_read(const char *path, gr_dtype *dtype, gr_shape *shape, void **data);
GR_API void gr_free_memory(void *data);

/* --- tables: comma-separated values, plain or .gz --- */

typedef enum gr_missing {
    GR_MISSING_ERROR, /* an empty cell, "NA", "NaN", "null" or "?" is an error */
    GR_MISSING_DROP,  /* its row is left out */
    GR_MISSING_MEAN,  /* it becomes the mean of its column */
    GR_MISSING_FILL   /* it becomes `fill` */
} gr_missing;

typedef struct gr_csv_options {
    char separator;          /* ',' */
    bool no_header;          /* the first line is data */
    const char *label;       /* the label's column by name */
    int label_column;        /* or by number: 1 is the first, -1 and 0 the last */
    bool no_label;           /* every column is a feature */
    bool regression;         /* the label is a number to be learned, not a class */
    gr_missing missing;
    double fill;
    const gr_dataset *like;  /* classes are those of this data set: for the test file */
} gr_csv_options;

/* Features [columns] and a class per row: whole numbers as they are, other labels sorted by name. */
GR_API gr_dataset *gr_csv_dataset(const char *path, gr_csv_options o);

/* --- pictures: PNG and JPEG in a folder per class --- */

typedef struct gr_images_options {
    int64_t height, width; /* all are resized to this; 0: as the first one is, others must agree */
    bool grey;             /* one channel instead of red, green, blue */
    bool stream;           /* read at every use instead of kept in memory */
} gr_images_options;

GR_API gr_dataset *gr_image_folder(const char *folder, gr_images_options o); /* folder/class/file; [channels, height, width], 0..1 */

/* --- vocabularies: text to numbers and back --- */

typedef struct gr_vocabulary gr_vocabulary;
typedef enum gr_token_kind {
    GR_CHARACTERS, /* of UTF-8 */
    GR_WORDS,      /* between white space */
    GR_BYTE_PAIRS  /* bytes, and the pairs most often seen side by side (Sennrich et al. 2016) */
} gr_token_kind;

typedef struct gr_vocabulary_options {
    gr_token_kind kind;
    int64_t size;     /* at most so many tokens, the most frequent; 0: all, of byte pairs 1024 */
    int64_t least;    /* seen at least so often; 0 counts as 1 */
    bool special;     /* <pad>, <unk>, <bos>, <eos> are tokens 0 to 3 */
} gr_vocabulary_options;

enum { GR_PAD, GR_UNK, GR_BOS, GR_EOS, GR_SPECIALS }; /* with `special` */

GR_API gr_vocabulary *gr_vocabulary_build(const char *text, size_t bytes, gr_vocabulary_options o);
GR_API gr_vocabulary *gr_vocabulary_load(const char *path);
GR_API gr_status gr_vocabulary_save(const gr_vocabulary *v, const char *path);
GR_API void gr_vocabulary_free(gr_vocabulary *v);
GR_API int64_t gr_vocabulary_size(const gr_vocabulary *v);
GR_API const char *gr_vocabulary_token(const gr_vocabulary *v, int64_t id, size_t *bytes); /* NULL: no such id */
GR_API int64_t gr_vocabulary_find(const gr_vocabulary *v, const char *token, size_t bytes); /* -1: not there */
GR_API gr_status gr_vocabulary_encode(const gr_vocabulary *v, const char *text, size_t bytes, int64_t **ids, int64_t *n); /* gr_free_memory */
GR_API gr_status gr_vocabulary_decode(const gr_vocabulary *v, const int64_t *ids, int64_t n, char **text); /* gr_free_memory */

/* --- text --- */

GR_API gr_status gr_text_read(const char *path, char **text, size_t *bytes); /* UTF-8, plain or .gz; gr_free_memory */
GR_API gr_dataset *gr_text_windows(const int64_t *ids, int64_t n, int64_t length, int64_t vocabulary); /* in: pieces of `length`; out: one later */
/* Line i of one file with line i of the other: in is source <eos>, out <bos> target <eos>. */
GR_API gr_dataset *gr_parallel_text(const char *source, const char *target, const gr_vocabulary *from, const gr_vocabulary *to);

/* --- parts --- */

typedef struct gr_parts {
    gr_dataset *train, *validation, *test; /* NULL: not asked for */
} gr_parts;

typedef struct gr_split_options {
    double validation, test; /* fractions; the rest is for training */
    bool stratified;         /* every class in proportion */
    uint64_t seed;
} gr_split_options;

GR_API gr_status gr_split_dataset(const gr_dataset *d, gr_split_options o, gr_parts *parts);
/* Fold 0 <= fold < folds is validated on; validation and test of o are not looked at. */
GR_API gr_status gr_k_fold(const gr_dataset *d, int folds, int fold, gr_split_options o, gr_parts *parts);
GR_API void gr_parts_release(gr_parts *parts);

/* --- preparation: fitted on the training part, used for all --- */

/* (x - mean) / std over all elements; the same numbers are to be used for other parts. */
GR_API void gr_dataset_mean_std(const gr_dataset *d, double *mean, double *std);
GR_API void gr_dataset_normalize(gr_dataset *d, double mean, double std);

typedef enum gr_scaling { GR_Z_SCORE, GR_MIN_MAX } gr_scaling; /* mean 0 and deviation 1; or 0..1 */
typedef enum gr_scaled { GR_PER_ELEMENT, GR_PER_CHANNEL, GR_PER_SET } gr_scaled; /* what has numbers of its own */

typedef struct gr_scaler gr_scaler;
GR_API gr_scaler *gr_scaler_fit(const gr_dataset *train, gr_scaling scaling, gr_scaled per);
GR_API void gr_scaler_free(gr_scaler *s);
GR_API gr_status gr_scaler_apply(const gr_scaler *s, gr_dataset *d);              /* in place */
GR_API gr_status gr_scaler_apply_sample(const gr_scaler *s, float *x, int64_t n); /* one sample of n elements */
GR_API char *gr_scaler_text(const gr_scaler *s); /* JSON, for the metadata of gr_save; gr_free_memory */
GR_API gr_scaler *gr_scaler_parse(const char *text);
GR_API gr_status gr_class_weights(const gr_dataset *d, double *weights); /* [n], each class as heavy as the others */

/* --- batches --- */

/* Rows of tokens of a batch. */
typedef struct gr_padded {
    int64_t length;         /* of the longest row in the batch */
    const int64_t *ids;     /* [n, length] */
    const float *mask;      /* [n, length], 1 for a token, 0 for padding */
    const int64_t *lengths; /* [n] */
} gr_padded;

/* Valid until the next gr_next. */
typedef struct gr_batch {
    int64_t n;
    const float *x;        /* [n, shape] */
    const int64_t *y;      /* [n]; NULL without classes */
    const float *target;   /* [n, target_shape]; NULL without targets */
    const float *soft;     /* [n, classes], the shares of the classes; NULL without mixup */
    const float *weight;   /* [n], 1 / (n p): times the loss, the mean stays that of all samples; NULL without weights */
    const int64_t *index;  /* [n], places in the data set; NULL when in order */
    gr_padded in, out;
} gr_batch;

/* Changes to images on the fly, at random from (seed, pass, sample); all planes of one alike. */
typedef struct gr_augment {
    double flip;     /* mirrored, left to right, with this probability */
    double crop;     /* a part of at least this share of height and width, enlarged to all; 0: none */
    double rotate;   /* by up to so many degrees either way */
    double elastic;  /* bent by about so many pixels (Simard et al. 2003) */
    double smooth;   /* over so many pixels; 4 */
    double noise;    /* standard deviation of what is added to each element */
    double mixup;    /* alpha: two samples mixed in the ratio Beta(alpha, alpha) (Zhang et al. 2018) */
} gr_augment;

typedef struct gr_loader gr_loader;
typedef struct gr_loader_options {
    int64_t batch; /* 32 */
    bool shuffle;  /* a new order each pass, from the seed */
    bool drop_last;
    uint64_t seed;
    int shift;     /* move each image by up to so many pixels in each direction, at random; 0: none */
    double fill;   /* what enters at the edge; 0 */
    gr_augment augment;      /* more changes */
    const double *weights;   /* [n], copied: samples drawn with replacement in these proportions */
    int64_t bucket;          /* so many batches at a time are sorted by length before they are cut; 0: none */
    const gr_scaler *scaler; /* applied to each sample; must outlive the loader */
    bool prefetch;           /* the next batch is made by a thread meanwhile; the same batches */
} gr_loader_options;

GR_API gr_loader *gr_loader_new(const gr_dataset *d, gr_loader_options o); /* d must outlive it; NULL on failure */
GR_API void gr_loader_free(gr_loader *l);
GR_API int64_t gr_loader_batches(const gr_loader *l); /* per pass */
/* The next batch, or false at the end of a pass: the call after that begins the next pass. False for
 * good when a sample could not be read, which gr_loader_status tells. */
GR_API bool gr_next(gr_loader *l, gr_batch *b);
GR_API gr_status gr_loader_status(const gr_loader *l);
GR_API gr_status gr_loader_seek(gr_loader *l, uint64_t pass, int64_t batch); /* both from 0: as if so much had been drawn */

#ifdef __cplusplus
}
#endif
#endif
