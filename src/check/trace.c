/* trace.c - where in a recording a fault or a kink is. */
/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <math.h>
#include <stdio.h>

/* --- the op that takes an input --- */

static bool takes(const gr_node *node, const gr__recorded *r, int part)
{
    for (int i = 0; i < gr_node_inputs(node); i++)
        for (int p = 0; p < r->n_active; p++)
            if ((part < 0 || part == p) &&
                gr_node_of(gr_node_input(node, i)) == gr_node_of(r->active[p]))
                return true;
    return false;
}

/* Fills in op, site and node if all that take the part are of one op, the last two if it is one. */
void gr__recorded_trace(gr__function *f, int part, gr_check_report *report)
{
    gr__recorded *r = (gr__recorded *)f;
    const gr_node *found = NULL;
    double *y = gr__doubles(f, f->n_y);
    int n = 0;
    report->node = -1;
    if (!y || !f->eval(f, f->x, y, NULL)) return;
    for (const gr_node *node = gr_node_first(r->graph); node; node = gr_node_next(node)) {
        if (gr_node_is_backward(node) || !takes(node, r, part)) continue;
        if (found && gr_node_op(found) != gr_node_op(node)) return;
        found = node;
        n++;
    }
    if (!found) return;
    snprintf(report->op, sizeof report->op, "%s", gr_node_op(found)->name);
    if (n > 1) return;
    report->node = gr_node_id(found);
    gr_node_site(found, report->site, sizeof report->site);
}

/* --- the op whose kink is crossed --- */

static bool make_room(gr__recorded *r)
{
    if (r->n_sides < r->most_sides) return true;
    int most = r->most_sides ? 2 * r->most_sides : 64;
    uint64_t *sides = gr__grow(r->sides, (size_t)r->most_sides * sizeof *sides,
                               (size_t)most * sizeof *sides);
    if (!sides) return false;
    r->sides = sides;
    r->most_sides = most;
    return true;
}

static void name_owner(gr__recorded *r, const gr_node *node)
{
    char site[96];
    snprintf(r->owner, r->owner_size, "%.32s, node %lld, %.80s", gr_node_op(node)->name,
             (long long)gr_node_id(node), gr_node_site(node, site, sizeof site));
}

void gr__note_side(gr__recorded *r, const gr_node *node, uint64_t side)
{
    if (r->noting == GR__NOTE && make_room(r)) r->sides[r->n_sides++] = side;
    if (r->noting != GR__COMPARE) return;
    bool moved = r->n_sides < r->most_sides && r->sides[r->n_sides++] != side;
    if (moved && !r->owner[0]) name_owner(r, node);
}

bool gr__recorded_blame_kink(gr__function *f, const double *to, char *owner, size_t size)
{
    gr__recorded *r = (gr__recorded *)f;
    double *y = gr__doubles(f, f->n_y);
    owner[0] = 0;
    r->owner = owner;
    r->owner_size = size;
    r->n_sides = 0;
    r->noting = GR__NOTE;
    bool fine = y && f->eval(f, f->x, y, NULL);
    r->n_sides = 0;
    r->noting = GR__COMPARE;
    fine = fine && f->eval(f, to, y, NULL);
    r->noting = GR__OFF;
    gr__free(r->sides);
    r->sides = NULL;
    r->n_sides = r->most_sides = 0;
    return fine && owner[0];
}
