/* elementwise.h - sample inputs that the element-wise families share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ELEMENTWISE_H
#define GR__ELEMENTWISE_H

#include "family.h"

#define M34 {.shape = {2, {3, 4}}}
#define ROW {.shape = {1, {4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define RANGE(LOW, HIGH) {.shape = {2, {3, 4}}, .low = LOW, .high = HIGH}
#define ABOVE RANGE(0.1, 1)
#define BELOW RANGE(-1, -0.1)
#define WHOLE {.shape = {2, {3, 4}}, .integer = true, .low = 1, .high = 5}

/* Samples of one input, drawn from (LOW, HIGH). */
#define MATRIX(NAME, LOW, HIGH, ATTRS)                                                             \
    {.name = NAME, .in = {RANGE(LOW, HIGH)}, .n_in = 1, .attrs = ATTRS}
#define SCALAR(LOW, HIGH, ATTRS)                                                                   \
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = LOW, .high = HIGH}}, .n_in = 1,           \
     .attrs = ATTRS}
#define NOTHING(ATTRS) {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = ATTRS}
#define NOT_FLOAT(ATTRS)                                                                           \
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = ATTRS,                                 \
     .error = "not defined for int64"}

/* All samples of a smooth function of one variable. */
#define SMOOTH(LOW, HIGH)                                                                          \
    {                                                                                              \
        MATRIX("matrix", LOW, HIGH, NULL), SCALAR(LOW, HIGH, NULL), NOTHING(NULL),                 \
            NOT_FLOAT(NULL), {0},                                                                  \
    }

/* Pairs that are refused. */
#define NO_FLOATS                                                                                  \
    {.name = "integers", .in = {WHOLE, WHOLE}, .n_in = 2, .error = "not defined for int64"}
#define MIXED {.name = "mixed", .in = {M34, WHOLE}, .n_in = 2, .error = "cannot mix"}
#define NO_COMMON_SHAPE                                                                            \
    {.name = "no common shape", .in = {M34, {.shape = {1, {3}}}}, .n_in = 2,                       \
     .error = "cannot broadcast"}

#endif
