/* classes.h - the classes of planted errors, family by family. */
/* SPDX-License-Identifier: MIT */
#ifndef CLASSES_H
#define CLASSES_H

#include "mutant.h"

/* Each list ends with a NULL name. */
extern const mutation factor_mutations[];
extern const mutation element_mutations[];
extern const mutation arrangement_mutations[];
extern const mutation cotangent_mutations[];
extern const mutation sum_mutations[];
extern const mutation term_mutations[];
extern const mutation type_mutations[];
extern const mutation second_mutations[];

#endif
