/* replay.h - the case that a failing report names: op=tanh:sample=2:layout=1:seed=7:order=1 */
/* SPDX-License-Identifier: MIT */
#ifndef REPLAY_H
#define REPLAY_H

#include <gradus/check.h>

/* False: `wrong` says which part cannot be read. */
bool replay_parse(const char *text, const gr_op **op, gr_check_options *o, char wrong[64]);

#endif
