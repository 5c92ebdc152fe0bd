/* plugin.h - what a shared object defines so that `gradus check --so my_op.so` can grade it.
 *
 *     #include <gradus/plugin.h>
 *     const gr_abi gradus_abi = GR_ABI;
 *     const gr_op *const gradus_ops[] = {&my_op, NULL};
 *     const gr_raw *const gradus_raws[] = {&my_layer, NULL};
 *
 * gradus_abi and one of the lists are needed. Compile with `cc -shared -fPIC`; the gradus command
 * brings the library's functions along, so that linking with -lgradus is possible but not needed.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_PLUGIN_H
#define GRADUS_PLUGIN_H

#include <gradus/check_raw.h>
#include <gradus/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the shared object was compiled against: it has to be what gradus was compiled against. */
typedef struct gr_abi {
    int version, op_bytes, raw_bytes;
} gr_abi;

#define GR_ABI_VERSION 1 /* raised when gr_op or gr_raw changes its meaning at the same size */
#define GR_ABI                                                  \
    {                                                           \
        GR_ABI_VERSION, (int)sizeof(gr_op), (int)sizeof(gr_raw) \
    }

GR_API extern const gr_abi gradus_abi;
GR_API extern const gr_op *const gradus_ops[];   /* ends with NULL */
GR_API extern const gr_raw *const gradus_raws[]; /* ends with NULL */

#ifdef __cplusplus
}
#endif
#endif
