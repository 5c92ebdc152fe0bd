/* scope.c - pairs of begin and end: named scopes, no-grad scopes, sites. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <string.h>

/* --- names --- */

/* Filled from the end, since the way leads from the leaf to the root; the end is cut off where the
 * text is too small. */
const char *gr__scope_text(const gr__scope *scope, char *text, size_t size)
{
    size_t length = 0;
    for (const gr__scope *s = scope; s && s->parent; s = s->parent)
        length += strlen(s->name) + (s->parent->parent ? 1 : 0);
    if (!text || size == 0) return text ? text : "";
    text[length < size ? length : size - 1] = 0;
    for (const gr__scope *s = scope; s && s->parent; s = s->parent) {
        for (size_t n = strlen(s->name); n-- > 0;)
            if (--length < size - 1) text[length] = s->name[n];
        if (s->parent->parent && --length < size - 1) text[length] = '/';
    }
    return text;
}

/* A node that a VJP recorded is where the node is that it differentiates. */
const gr__scope *gr__scope_of(const gr_node *node)
{
    while (node->flags & GR__BACKWARD) node = node->origin;
    return node->scope;
}

/* Writes the path of the scopes that were open when the node was recorded, the outermost first, as
 * in "encoder/attn"; "" outside of any. A node that a backward rule recorded has the scope of the
 * node that it differentiates. Returns text. */
const char *gr_node_scope(const gr_node *node, char *text, size_t size)
{
    return gr__scope_text(node ? gr__scope_of(node) : NULL, text, size);
}

/* --- named scopes --- */

void gr__scopes_reset(gr_graph *g)
{
    g->scope = &g->root;
    g->lost_scopes = 0;
}

void gr__scope_blame(const gr_node *node)
{
    gr_graph *g = node->out[0].graph;
    gr__scope_text(gr__scope_of(node), g->error_scope, sizeof g->error_scope);
}

static gr__scope *new_scope(gr_graph *g, const char *name, const void *site)
{
    if (!name || !*name) {
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "gr_scope_begin: expected a name, got %s",
                    name ? "an empty text" : "NULL");
        return NULL;
    }
    size_t bytes = strlen(name) + 1;
    gr__scope *s = gr__arena_alloc(&g->nodes, sizeof *s + bytes);
    if (!s) {
        gr__fail_at(g, GR_ERR_MEMORY, site, "gr_scope_begin: out of memory");
        return NULL;
    }
    *s = (gr__scope){g->scope, memcpy(s + 1, name, bytes), g->site ? g->site : site};
    return s;
}

/* What is recorded until the matching end belongs to this part of the program: errors, pictures and
 * tables name it. Scopes nest. The name is copied; without one the graph is in error. */
void gr_scope_begin(gr_graph *g, const char *name)
{
    if (gr__lacks_graph(g, "gr_scope_begin")) return;
    gr__scope *s = g->lost_scopes ? NULL : new_scope(g, name, GR_HERE);
    if (s) g->scope = s;
    else g->lost_scopes++;
}

static void end_scope(gr_graph *g)
{
    if (g->lost_scopes) g->lost_scopes--;
    else g->scope = g->scope->parent;
}

/* Ends the innermost scope; without an open one it is an error of the graph. */
void gr_scope_end(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_scope_end")) return;
    if (g->scope != &g->root || g->lost_scopes) end_scope(g);
    else gr__fail_at(g, GR_ERR_STATE, GR_HERE, "gr_scope_end: no scope is open");
}

/* Ends the scope `name`, which has to be the innermost one: an end out of order is an error of the
 * graph, and ends nothing. */
void gr_scope_end_named(gr_graph *g, const char *name)
{
    if (gr__lacks_graph(g, "gr_scope_end_named")) return;
    if (g->lost_scopes || (g->scope != &g->root && name && strcmp(g->scope->name, name) == 0))
        end_scope(g);
    else if (g->scope == &g->root)
        gr__fail_at(g, GR_ERR_STATE, GR_HERE,
                    "gr_scope_end_named: cannot end '%s': no scope is open", name ? name : "NULL");
    else
        gr__fail_at(g, GR_ERR_STATE, GR_HERE,
                    "gr_scope_end_named: cannot end '%s': the innermost open scope is '%s'",
                    name ? name : "NULL", g->scope->name);
}

/* --- no-grad scopes --- */

void gr_no_grad_begin(gr_graph *g)
{
    if (!gr__lacks_graph(g, "gr_no_grad_begin")) g->no_grad_depth++;
}

/* Closes the innermost no-grad scope; without an open one it is an error of the graph. */
void gr_no_grad_end(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_no_grad_end")) return;
    if (g->no_grad_depth == 0)
        gr__fail_at(g, GR_ERR_STATE, GR_HERE, "gr_no_grad_end: no scope is open");
    else g->no_grad_depth--;
}

/* --- sites --- */

void gr_site_begin(gr_graph *g, const void *site)
{
    if (gr__is_inert(g)) return;
    if (g->site_depth++ == 0) g->site = site;
}

void gr_site_end(gr_graph *g)
{
    if (gr__is_inert(g) || g->site_depth == 0) return;
    if (--g->site_depth == 0) g->site = NULL;
}
