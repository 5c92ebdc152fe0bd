/* plateau.c - lower rates when a measure stops getting better. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

static bool better(const gr_plateau *p, double measure)
{
    double threshold = gr__or(p->threshold, 1e-4), sign = p->maximize ? 1 : -1;
    if (!p->now.begun) return !isnan(measure);
    double bar = p->absolute ? p->now.best + sign * threshold
                             : p->now.best * (1 + sign * threshold);
    return p->maximize ? measure > bar : measure < bar;
}

static void lower(const gr_plateau *p, double *lr)
{
    double lowered = fmax(*lr * gr__or(p->factor, 0.1), p->min_lr);
    if (*lr - lowered > gr__or(p->eps, 1e-8)) *lr = lowered;
}

/* Tells of a new measure, such as the validation loss after an epoch. After more than `patience`
 * measures in a row without a better one all base rates, those of groups too, are multiplied by
 * factor, down to min_lr: PyTorch's ReduceLROnPlateau.
 *
 * GR_ERR_ARGUMENT for a factor that is not between 0 and 1, or a negative number; a NaN is not better
 * than anything. */
gr_status gr_plateau_step(gr_plateau *p, gr_optimizer *opt, double measure)
{
    gr_status status = gr__optimizer_check(opt, "gr_plateau_step");
    if (status) return status;
    if (!p) return gr__fail(GR_ERR_ARGUMENT, "gr_plateau_step: the plateau is NULL");
    if (!(p->factor >= 0 && p->factor < 1 && p->threshold >= 0 && p->cooldown >= 0 &&
          p->min_lr >= 0 && p->eps >= 0))
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_plateau_step: expected 0 <= factor < 1 and no negative "
                        "numbers, got factor %g, threshold %g, cooldown %lld, min_lr %g, eps %g",
                        p->factor, p->threshold, (long long)p->cooldown, p->min_lr, p->eps);
    int64_t patience = p->patience == 0 ? 10 : p->patience < 0 ? 0 : p->patience;
    if (better(p, measure)) {
        p->now.begun = true;
        p->now.best = measure;
        p->now.bad = 0;
    } else p->now.bad++;
    if (p->now.cooling > 0) {
        p->now.cooling--;
        p->now.bad = 0;
    }
    if (p->now.bad <= patience) return GR_OK;
    p->now.cooling = p->cooldown;
    p->now.bad = 0;
    lower(p, &opt->base_lr);
    for (int k = 0; k < opt->n_groups; k++) lower(p, &opt->groups[k].settings.lr);
    gr__optimizer_rates(opt);
    return GR_OK;
}
