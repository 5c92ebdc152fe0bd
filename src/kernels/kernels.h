/* kernels.h - the loops that are compiled per dtype and instruction set, chosen once at run time.
 *
 * One topic, one source file NAME_real.c in terms of REAL (instance.h); instance.c includes them
 * all and is compiled once for each dtype and instruction set, each time exporting one table.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__KERNELS_H
#define GR__KERNELS_H

#include "attention.h"
#include "band.h"
#include "base.h"
#include "bf16.h"
#include "conv.h"
#include "gemm.h"
#include "index.h"
#include "patches.h"
#include "pool.h"
#include "recurrent.h"
#include "reduce.h"
#include "scan.h"
#include "softmax.h"
#include "standardize.h"

typedef struct gr__kernels {
    /* gemm_real.c */
    gr__gemm_kernels gemm;
    /* finite_real.c */
    bool (*finite)(const void *x, int64_t n); /* neither NaN nor infinity in it */
    /* reduce_real.c */
    void (*sum)(const gr__reduction *r, void *y, double *scratch);
    void (*max)(const gr__reduction *r, void *y, double *scratch);
    /* stream_real.c */
    void (*stream_sum)(const gr__stream *s, const void *x, int64_t first, int64_t n, double *lanes);
    void (*stream_end)(const gr__stream *s, void *y);
    /* scan_real.c */
    void (*scan_sum)(gr__scan *s);
    void (*scan_product)(gr__scan *s);
    void (*scan_linear)(gr__scan *s);
    void (*scan_logsumexp)(gr__scan *s);
    void (*scan_extreme)(gr__scan *s);
    /* softmax_real.c */
    void (*softmax)(gr__softmax *s);
    void (*softmax_grad)(gr__softmax_grad *s);
    /* cross_entropy_real.c */
    void (*cross_entropy)(const gr__cross_entropy *c, double *loss);
    void (*cross_entropy_grad)(const gr__cross_entropy *c, const double *scale);
    /* standardize_real.c, standardize_channels_real.c */
    void (*standardize_rows)(gr__standardize *s);
    void (*standardize_rows_grad)(gr__standardize_grad *s);
    void (*standardize_channels)(gr__standardize *s);
    void (*standardize_channels_grad)(gr__standardize_grad *s);
    /* attention_real.c, attention_grad_real.c */
    void (*attention)(gr__attention *a);
    void (*attention_grad)(gr__attention_grad *g);
    /* index_real.c */
    void (*gather)(gr__gather *g);
    void (*scatter)(gr__gather *g);
    void (*scatter_add)(gr__gather *g);
    void (*scatter_put)(gr__gather *g);
    void (*index_add)(gr__gather *g);
    void (*take_rows)(gr__rows *r);
    void (*scatter_rows)(gr__rows *r);
    /* conv_base_real.c, conv_input_real.c, conv_weight_real.c */
    gr__conv_kernels conv[GR__CONV_KINDS];
    /* conv_lanes_real.c: so many images at a time */
    int64_t conv_lanes;
    gr__conv_kernels conv_in_lanes[GR__CONV_KINDS];
    /* conv_winograd_weight_real.c: of each kind */
    const gr__winograd_kernels *winograd;
    /* recurrent_real.c */
    gr__cell_kernels cell;
    /* band_real.c: [begin, end) of the outer indices of a gr__band */
    gr__range_fn *band;
    /* patches_real.c: planes [begin, end) of a gr__patches */
    gr__range_fn *unfold, *fold;
    /* pool_real.c */
    gr__pool_fn *max_pool, *unpool, *pick, *avg_pool, *avg_pool_grad;
} gr__kernels;

/* The table for float32 or float64: that of the instruction set that the environment variable
 * GRADUS_ISA names (baseline, avx2, avx512), else, or where it is lacking, of the best present. */
const gr__kernels *gr__kernels_for(gr_dtype dtype);
/* Winograd's algorithm in integers of 16 bits, of each kind; NULL where the set in use has none. */
const gr__winograd_kernels *gr__fixed(void);
const char *gr__isa_name(void);
/* For tests: switches to the named set, NULL: to the choice at start. False, and no change, when
 * the build or the processor lacks it. */
bool gr__kernels_force(const char *name);

/* --- between isa.c and the list that the build picks: isa_x86.c or isa_plain.c --- */

typedef struct gr__isa {
    const char *name;
    bool (*present)(void);
    const gr__kernels *f32, *f64;
    const gr__bf16_kernels *bf16; /* NULL: none */
    bool (*has_bf16)(void);
    const gr__winograd_kernels *const *fixed; /* NULL: none */
    bool (*has_fixed)(void);
} gr__isa;

extern const gr__isa gr__isas[]; /* best first; ends with the baseline, which is always present */
extern const int gr__isa_count;

#endif
