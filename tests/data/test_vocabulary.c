/* test_vocabulary.c - text to numbers and back. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "suite.h"

#include <gradus/data.h>

static const char verse[] = "the cat sat on the mat, the cat";

static gr_vocabulary *build(const char *text, gr_vocabulary_options o)
{
    gr_vocabulary *v = gr_vocabulary_build(text, strlen(text), o);
    ck_assert_msg(v != NULL, "%s", gr_last_error());
    return v;
}

/* What comes back from encoding and decoding; to be freed with gr_free_memory. */
static char *there_and_back(const gr_vocabulary *v, const char *text, int64_t *n)
{
    int64_t *ids;
    char *back;
    ck_assert_msg(!gr_vocabulary_encode(v, text, strlen(text), &ids, n), "%s", gr_last_error());
    ck_assert_msg(!gr_vocabulary_decode(v, ids, *n, &back), "%s", gr_last_error());
    gr_free_memory(ids);
    return back;
}

static void comes_back(const gr_vocabulary *v, const char *text, const char *expected)
{
    int64_t n;
    char *back = there_and_back(v, text, &n);
    ck_assert_str_eq(back, expected);
    gr_free_memory(back);
}

START_TEST(characters_are_numbered_in_the_order_of_their_codes)
{
    gr_vocabulary *v = build("b\xC3\xA9"
                             "abb",
                             (gr_vocabulary_options){0});
    size_t bytes;
    ck_assert_int_eq(gr_vocabulary_size(v), 3);
    ck_assert_int_eq(gr_vocabulary_find(v, "a", 1), 0);
    ck_assert_int_eq(gr_vocabulary_find(v, "\xC3\xA9", 2), 2);
    ck_assert_ptr_null(gr_vocabulary_token(v, 3, &bytes));
    comes_back(v, "ab\xC3\xA9", "ab\xC3\xA9");
    int64_t *ids, n;
    ck_assert_int_eq(gr_vocabulary_encode(v, "abz", 3, &ids, &n), GR_ERR_ARGUMENT);
    ck_assert_ptr_null(ids);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "byte 2: 'z' is none of the 3 tokens"));
    gr_vocabulary_free(v);
}
END_TEST

START_TEST(words_are_numbered_by_how_often_they_come)
{
    gr_vocabulary *v = build(verse, (gr_vocabulary_options){.kind = GR_WORDS, .special = true});
    ck_assert_int_eq(gr_vocabulary_find(v, "the", 3), GR_SPECIALS);
    ck_assert_int_eq(gr_vocabulary_find(v, "cat", 3), GR_SPECIALS + 1);
    comes_back(v, " the  dog <pad> sat\n", "the <unk> <unk> sat");
    gr_vocabulary_free(v);
    v = build(verse, (gr_vocabulary_options){.kind = GR_WORDS, .special = true, .least = 2});
    ck_assert_int_eq(gr_vocabulary_size(v), GR_SPECIALS + 2);
    gr_vocabulary_free(v);
    v = build(verse, (gr_vocabulary_options){.kind = GR_WORDS, .size = 3});
    ck_assert_int_eq(gr_vocabulary_size(v), 3);
    gr_vocabulary_free(v);
}
END_TEST

START_TEST(byte_pairs_shorten_what_they_saw_and_lose_nothing)
{
    gr_vocabulary *v = build(verse, (gr_vocabulary_options){.kind = GR_BYTE_PAIRS, .size = 268});
    ck_assert_int_eq(gr_vocabulary_size(v), 268);
    ck_assert_int_ge(gr_vocabulary_find(v, " cat", 4), 256);
    int64_t n;
    char *back = there_and_back(v, verse, &n);
    ck_assert_str_eq(back, verse);
    ck_assert_int_lt(n, (int64_t)strlen(verse) * 2 / 3);
    gr_free_memory(back);
    comes_back(v, "\tzebra\n\n  \xFF\xC3", "\tzebra\n\n  \xFF\xC3");
    gr_vocabulary_free(v);
}
END_TEST

/* The merges of "aaabdaaabac" are the textbook's: aa, then ab, then both. */
START_TEST(the_first_merges_are_the_most_frequent_pairs)
{
    gr_vocabulary *v = build("aaabdaaabac",
                             (gr_vocabulary_options){.kind = GR_BYTE_PAIRS, .size = 259});
    size_t bytes;
    const char *first = gr_vocabulary_token(v, 256, &bytes);
    ck_assert_int_eq(bytes, 2);
    ck_assert_mem_eq(first, "aa", 2);
    ck_assert_int_ge(gr_vocabulary_find(v, "aaab", 4), 0);
    gr_vocabulary_free(v);
}
END_TEST

START_TEST(a_saved_vocabulary_comes_back_the_same)
{
    for (int kind = 0; kind < 6; kind++) {
        const gr_vocabulary_options o = {.kind = (gr_token_kind)(kind / 2),
                                         .special = kind % 2,
                                         .size = kind < 4 ? 0 : 280};
        gr_vocabulary *v = build(verse, o), *again;
        const char *path = scratch_path("v.json");
        ck_assert_msg(!gr_vocabulary_save(v, path), "%s", gr_last_error());
        again = gr_vocabulary_load(path);
        ck_assert_msg(again != NULL, "%s", gr_last_error());
        ck_assert_int_eq(gr_vocabulary_size(again), gr_vocabulary_size(v));
        int64_t *a, *b, n, m;
        ck_assert(!gr_vocabulary_encode(v, verse, strlen(verse), &a, &n));
        ck_assert(!gr_vocabulary_encode(again, verse, strlen(verse), &b, &m));
        ck_assert_int_eq(n, m);
        ck_assert_mem_eq(a, b, (size_t)n * sizeof *a);
        gr_free_memory(a);
        gr_free_memory(b);
        gr_vocabulary_free(v);
        gr_vocabulary_free(again);
    }
}
END_TEST

static void is_refused(const char *text, gr_vocabulary_options o, const char *part)
{
    ck_assert_ptr_null(gr_vocabulary_build(text, strlen(text), o));
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected '%s', got '%s'", part,
                  gr_last_error());
}

START_TEST(unusable_texts_and_options_are_errors)
{
    is_refused("", (gr_vocabulary_options){0}, "the text is empty");
    is_refused("\xFF", (gr_vocabulary_options){0}, "not UTF-8");
    is_refused("a", (gr_vocabulary_options){.kind = GR_BYTE_PAIRS, .size = 255}, "at least 256");
    is_refused("a", (gr_vocabulary_options){.size = -1}, "got 0, -1, 1");
    gr_vocabulary *v = build("ab", (gr_vocabulary_options){0});
    char *text;
    ck_assert_int_eq(gr_vocabulary_decode(v, (int64_t[]){0, 2}, 2, &text), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "token 1 is 2, expected 0 to 1"));
    gr_vocabulary_free(v);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    const char *path = scratch_path("v.json");
    inject_begin();
    for (int kind = 0; kind < 3; kind++)
        for (int64_t n = 0, done = 0; !done; n++) {
            const gr_vocabulary_options o = {.kind = (gr_token_kind)kind,
                                             .special = true,
                                             .size = kind == 2 ? 265 : 0};
            inject_allocation(n);
            gr_vocabulary *v = gr_vocabulary_build(verse, strlen(verse), o), *again = NULL;
            if (v && !gr_vocabulary_save(v, path)) again = gr_vocabulary_load(path);
            done = !inject_happened();
            ck_assert_int_eq(again != NULL, done);
            gr_vocabulary_free(v);
            gr_vocabulary_free(again);
            ck_assert_int_eq(inject_live(), 0);
        }
    inject_end();
}
END_TEST

static bool loads(const char *path)
{
    gr_vocabulary *v = gr_vocabulary_load(path);
    bool taken = v != NULL;
    gr_vocabulary_free(v);
    return taken;
}

static void survives(gr_vocabulary_options o)
{
    size_t bytes;
    gr_vocabulary *v = build(verse, o);
    ck_assert(!gr_vocabulary_save(v, scratch_path("good.json")));
    gr_vocabulary_free(v);
    char *good = scratch_read("good.json", &bytes);
    fuzz("v.json", good, bytes, loads);
    free(good);
}

START_TEST(damaged_files_are_survived)
{
    survives((gr_vocabulary_options){.kind = GR_WORDS, .special = true});
    survives((gr_vocabulary_options){.kind = GR_BYTE_PAIRS, .size = 280});
}
END_TEST

SUITE("vocabulary", scratch_begin, scratch_end, characters_are_numbered_in_the_order_of_their_codes,
      words_are_numbered_by_how_often_they_come, byte_pairs_shorten_what_they_saw_and_lose_nothing,
      the_first_merges_are_the_most_frequent_pairs, a_saved_vocabulary_comes_back_the_same,
      unusable_texts_and_options_are_errors, every_failed_allocation_is_an_error_without_a_leak,
      damaged_files_are_survived)
