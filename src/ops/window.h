/* window.h - what passes where another tensor lies within bounds; clip.c. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__WINDOW_H
#define GR__WINDOW_H

#include "family.h"

/* The factor is `inside` where s lies between low and high, the bounds included if closed, else
 * `outside`. Low -INFINITY or high INFINITY: no bound. */
typedef struct gr__window {
    double low, high, inside, outside;
    bool closed;
} gr__window;

/* x times the factor that s chooses; where the factor is 0 nothing passes, Inf and NaN included.
 * No gradient flows to s. */
gr_tensor *gr__window_of(gr_tensor *s, gr_tensor *x, const gr__window *w);

#endif
