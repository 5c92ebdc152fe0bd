/* test_text_files.c - windows over one text, and translations line by line, in padded batches. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/data.h>
#include <stdio.h>
#include <string.h>

START_TEST(a_window_predicts_the_same_places_one_later)
{
    static const int64_t ids[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    gr_dataset *d = gr_text_windows(ids, 9, 3, 9);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 2);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 2});
    gr_batch b;
    ck_assert(gr_next(l, &b));
    ck_assert_int_eq(b.in.length, 3);
    ck_assert_mem_eq(b.in.ids, ids, 6 * sizeof *ids);
    ck_assert_mem_eq(b.out.ids, ids + 1, 6 * sizeof *ids);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(windows_that_cannot_be_cut_are_errors)
{
    static const int64_t ids[] = {0, 1, 2};
    ck_assert_ptr_null(gr_text_windows(ids, 3, 3, 3));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "cannot cut 3 tokens into pieces of 3"));
    ck_assert_ptr_null(gr_text_windows(ids, 3, 0, 3));
    ck_assert_ptr_null(gr_text_windows(ids, 3, 2, 2));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "is 2, expected 0 to 1"));
}
END_TEST

static gr_vocabulary *words(const char *text)
{
    return gr_vocabulary_build(text, strlen(text),
                               (gr_vocabulary_options){.kind = GR_WORDS, .special = true});
}

/* The words of a row, decoded; to be compared. */
static void row_is(const gr_vocabulary *v, const gr_padded *p, int64_t row, const char *expected)
{
    char *text;
    ck_assert(!gr_vocabulary_decode(v, p->ids + row * p->length, p->length, &text));
    ck_assert_str_eq(text, expected);
    gr_free_memory(text);
}

START_TEST(lines_come_with_their_translations_padded_and_masked)
{
    static const char english[] = "a cat\na very big dog\n\n",
                      german[] = "eine Katze\r\nein Hund\n\n";
    gr_vocabulary *from = words(english), *to = words(german);
    char a[256], b[256];
    snprintf(a, sizeof a, "%s", scratch_write("a.en", english, strlen(english)));
    snprintf(b, sizeof b, "%s", scratch_write("a.de", german, strlen(german)));
    gr_dataset *d = gr_parallel_text(a, b, from, to);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 3);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 3});
    gr_batch batch;
    ck_assert(gr_next(l, &batch));
    ck_assert_int_eq(batch.in.length, 5);
    ck_assert_int_eq(batch.out.length, 4);
    row_is(from, &batch.in, 0, "a cat");
    row_is(from, &batch.in, 1, "a very big dog");
    row_is(to, &batch.out, 1, "ein Hund");
    static const float mask[] = {1, 1, 1, 0, 0};
    ck_assert_mem_eq(batch.in.mask, mask, sizeof mask);
    ck_assert_int_eq(batch.in.ids[2], GR_EOS);
    ck_assert_int_eq(batch.in.ids[3], GR_PAD);
    ck_assert_int_eq(batch.out.ids[0], GR_BOS);
    ck_assert_int_eq(batch.in.lengths[2], 1);
    ck_assert_int_eq(batch.out.lengths[2], 2);
    gr_loader_free(l);
    gr_dataset_free(d);
    gr_vocabulary_free(from);
    gr_vocabulary_free(to);
}
END_TEST

START_TEST(texts_that_do_not_fit_are_named)
{
    gr_vocabulary *v = words("a b"),
                  *bare = gr_vocabulary_build("a", 1, (gr_vocabulary_options){0});
    const char *one = scratch_write("one", "a\n", 2), *two = scratch_write("two", "a\nb", 3);
    ck_assert_ptr_null(gr_parallel_text(one, two, v, v));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "and one at least: got 2 and 1"));
    ck_assert_ptr_null(gr_parallel_text(one, one, v, bare));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "no special tokens"));
    char *text;
    size_t bytes;
    ck_assert_int_eq(gr_text_read(scratch_write("bad", "ab\xFFz", 4), &text, &bytes),
                     GR_ERR_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(), "bad: byte 2: expected UTF-8 without NUL, got 0xFF"));
    gr_vocabulary_free(v);
    gr_vocabulary_free(bare);
}
END_TEST

/* n rows whose lengths are 1 to 20, all over the place. */
static gr_dataset *rows(int64_t n)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < n; i++) tokens += 1 + i * 7 % 20;
    gr_rows *in = gr_rows_new(n, tokens, 1);
    for (int64_t i = 0; i < n; i++) in->begin[i + 1] = in->begin[i] + 1 + i * 7 % 20;
    gr_dataset *d = gr_dataset_rows(in, NULL, n);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    return d;
}

/* Padded places of a pass; each row must come once. */
static int64_t padding(const gr_dataset *d, gr_loader_options o)
{
    int64_t places = 0, seen = 0;
    gr_loader *l = gr_loader_new(d, o);
    ck_assert_msg(l != NULL, "%s", gr_last_error());
    for (gr_batch b; gr_next(l, &b);)
        for (int64_t i = 0; i < b.n; i++) {
            places += b.in.length - b.in.lengths[i];
            seen += b.index[i];
            ck_assert_int_eq(b.in.lengths[i], 1 + b.index[i] * 7 % 20);
        }
    ck_assert_int_eq(seen, d->n * (d->n - 1) / 2);
    gr_loader_free(l);
    return places;
}

START_TEST(buckets_leave_little_to_pad)
{
    gr_dataset *d = rows(400);
    gr_loader_options o = {.batch = 16, .shuffle = true};
    int64_t without = padding(d, o), with;
    o.bucket = 10;
    with = padding(d, o);
    ck_assert_msg(5 * with < without, "padded: %d with buckets, %d without", (int)with,
                  (int)without);
    gr_dataset *images = gr_dataset_new(GR_SHAPE(1), 4, 1);
    ck_assert_ptr_null(gr_loader_new(images, o));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "rows of tokens"));
    gr_dataset_free(images);
    gr_dataset_free(d);
}
END_TEST

START_TEST(bucketed_batches_come_in_a_new_order_each_pass)
{
    gr_dataset *d = rows(400);
    int64_t first[2][25];
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 16, .shuffle = true, .bucket = 5});
    for (int pass = 0; pass < 2; pass++) {
        int k = 0;
        for (gr_batch b; gr_next(l, &b);) first[pass][k++] = b.in.length;
        ck_assert_int_eq(k, 25);
    }
    ck_assert_mem_ne(first[0], first[1], sizeof first[0]);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(multi30k_is_read_and_bucketed)
{
    const char *data = getenv("GRADUS_DATA");
    char source[1000], target[1000], *text;
    size_t bytes;
    if (!data) return;
    snprintf(source, sizeof source, "%s/multi30k/train.en.gz", data);
    snprintf(target, sizeof target, "%s/multi30k/train.de.gz", data);
    if (gr_text_read(source, &text, &bytes)) return;
    const gr_vocabulary_options o = {.kind = GR_WORDS, .special = true, .least = 2};
    gr_vocabulary *from = gr_vocabulary_build(text, bytes, o);
    gr_free_memory(text);
    ck_assert(!gr_text_read(target, &text, &bytes));
    gr_vocabulary *to = gr_vocabulary_build(
        text, bytes, (gr_vocabulary_options){.kind = GR_BYTE_PAIRS, .special = true, .size = 2000});
    gr_free_memory(text);
    gr_dataset *d = gr_parallel_text(source, target, from, to);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 29000);
    ck_assert_int_eq(gr_vocabulary_size(to), 2000);
    gr_dataset_free(d);
    gr_vocabulary_free(from);
    gr_vocabulary_free(to);
}
END_TEST

SUITE("text_files", scratch_begin, scratch_end, a_window_predicts_the_same_places_one_later,
      windows_that_cannot_be_cut_are_errors, lines_come_with_their_translations_padded_and_masked,
      texts_that_do_not_fit_are_named, buckets_leave_little_to_pad,
      bucketed_batches_come_in_a_new_order_each_pass, multi30k_is_read_and_bucketed)
