/* gradus.h - everything: include this. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_GRADUS_H
#define GRADUS_GRADUS_H

#include <gradus/base.h>
#include <gradus/graph.h>
#include <gradus/op.h>
#include <gradus/ops.h>
#include <gradus/transform.h>
#include <gradus/nn.h>
#include <gradus/optim.h>
#include <gradus/data.h>
#include <gradus/io.h>
#include <gradus/train.h>
#include <gradus/measure.h>
#include <gradus/check.h>
#include <gradus/check_raw.h>
#include <gradus/explain.h>
#include <gradus/profile.h>

#endif
