/* describe.h - a report as text and as JSON, added to a growing text. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__DESCRIBE_H
#define GR__DESCRIBE_H

#include "base.h"
#include <gradus/check.h>

enum { GR__REPLAY_TEXT = 128 };

/* name: of what was checked, NULL is fine */
void gr__check_text(const gr_check_report *r, const char *name, gr__text *t);
void gr__check_json(const gr_check_report *r, const char *name, gr__text *t);
/* "op=tanh:sample=2:layout=1:seed=7:order=1:round=3", of checks by samples alone. */
bool gr__check_replay(const gr_check_report *r, char text[GR__REPLAY_TEXT]);

#endif
