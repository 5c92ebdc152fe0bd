/* test_safetensors_read.c - one file per rule of the format, made here, taken or rejected. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/io.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static gr_safetensors *file;

static void end(void)
{
    gr_safetensors_close(file);
    file = NULL;
    scratch_end();
}

/* A file of this header, whose length is claimed to be `claimed`, and n bytes of data 0, 1, 2... */
static const char *make_claiming(uint64_t claimed, const char *header, size_t n)
{
    static unsigned char content[1 << 16];
    size_t length = strlen(header);
    ck_assert_uint_le(8 + length + n, sizeof content);
    for (int i = 0; i < 8; i++) content[i] = (unsigned char)(claimed >> 8 * i & 0xFF);
    memcpy(content + 8, header, length);
    for (size_t i = 0; i < n; i++) content[8 + length + i] = (unsigned char)i;
    return scratch_write("file.safetensors", content, 8 + length + n);
}

static const char *make(const char *header, size_t n)
{
    return make_claiming(strlen(header), header, n);
}

static void take(const char *header, size_t n)
{
    gr_safetensors_close(file);
    file = gr_safetensors_open(make(header, n));
    ck_assert_msg(file != NULL, "%s was rejected: %s", header, gr_last_error());
}

static void reject_file(const char *path, const char *part)
{
    gr_safetensors_close(file);
    gr_clear_error();
    file = gr_safetensors_open(path);
    ck_assert_msg(file == NULL, "was taken, expected '%s'", part);
    ck_assert_msg(strstr(gr_last_error(), part) && strstr(gr_last_error(), path),
                  "expected the path and '%s', got '%s'", part, gr_last_error());
}

static void reject(const char *header, size_t n, const char *part)
{
    reject_file(make(header, n), part);
}

#define ENTRY(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(arrays_and_metadata_are_found)
{
    take("{\"__metadata__\":{\"format\":\"pt\"},\"b\":" ENTRY(
             "F32", "[2,1]", "[0,8]") ",\"a\":" ENTRY("U8", "[3]", "[8,11]") "}",
         11);
    ck_assert_int_eq(gr_safetensors_count(file), 2);
    const gr_array *a = gr_safetensors_find(file, "a"), *b = gr_safetensors_find(file, "b");
    ck_assert_ptr_eq(gr_safetensors_at(file, 0), b);
    ck_assert_ptr_eq(gr_safetensors_at(file, 1), a);
    ck_assert_ptr_null(gr_safetensors_at(file, 2));
    ck_assert_ptr_null(gr_safetensors_at(file, -1));
    ck_assert_ptr_null(gr_safetensors_find(file, "c"));
    ck_assert_str_eq(a->dtype, "U8");
    ck_assert_uint_eq(a->bytes, 3);
    ck_assert_mem_eq(a->data, "\x08\x09\x0A", 3);
    ck_assert(gr_shape_equal(&b->shape, &GR_SHAPE(2, 1)));
    ck_assert_str_eq(gr_safetensors_metadata(file, "format"), "pt");
    ck_assert_ptr_null(gr_safetensors_metadata(file, "other"));
}
END_TEST

/* --- rule 1: length --- */

START_TEST(files_too_short_for_their_header_are_rejected)
{
    reject_file(scratch_write("file", "", 0), "expected at least 8 bytes, got 0");
    reject_file(scratch_write("file", "\2\0\0\0\0\0\0", 7), "expected at least 8 bytes, got 7");
    reject_file(make_claiming(3, "{}", 0), "claims 3 bytes, but 2 follow");
    reject_file(make_claiming(UINT64_MAX, "{}", 0), "claims 18446744073709551615 bytes");
    reject_file(make_claiming(UINT64_MAX - 7, "{}", 0), "claims");
    reject_file(make_claiming(100000001, "{}", 0), "at most 100000000");
    reject_file(scratch_path("none"), "cannot open");
}
END_TEST

/* --- rule 2: JSON --- */

START_TEST(the_header_must_be_one_json_object)
{
    take("{}", 0);
    take("{}      ", 0);
    reject("", 0, "does not begin with '{'");
    reject(" {}", 0, "does not begin with '{'");
    reject("[]", 0, "does not begin with '{'");
    reject("{}\n", 0, "does not end with '}'");
    reject("{} {}", 0, "after the value");
    reject("{\"a\":", 0, "does not end with '}'");
    reject("{\"a\" }", 0, "expected ':'");
    reject("{\"\xFF\":" ENTRY("U8", "[0]", "[0,0]") "}", 0, "not UTF-8");
    reject("{\"\\u0000\":" ENTRY("U8", "[0]", "[0,0]") "}", 0, "U+0000");
}
END_TEST

/* --- rule 3: metadata, repeated keys, depth --- */

START_TEST(metadata_must_be_text)
{
    take("{\"__metadata__\":{}}", 0);
    reject("{\"__metadata__\":{\"a\":1}}", 0, "expected a string");
    reject("{\"__metadata__\":[]}", 0, "expected an object");
    reject("{\"__metadata__\":{\"a\":null}}", 0, "expected a string");
    reject("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "expected a string");
}
END_TEST

START_TEST(repeated_keys_are_rejected_everywhere)
{
    reject("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__: is there twice");
    reject("{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}}", 0, "a: is there twice");
    reject("{\"a\":" ENTRY("U8", "[0]", "[0,0]") ",\"a\":" ENTRY("U8", "[0]", "[0,0]") "}", 0,
           "a: is there twice");
    reject("{\"a\":" ENTRY("U8", "[0]", "[0,0]") ",\"\\u0061\":" ENTRY("U8", "[0]", "[0,0]") "}", 0,
           "a: is there twice");
    reject("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
           "repeated or unknown key");
}
END_TEST

START_TEST(deep_nesting_is_rejected)
{
    char header[4100] = "{\"a\":";
    memset(header + 5, '[', 4000);
    strcat(header, "}");
    reject(header, 0, "expected an object");
    memcpy(header, "{\"a\":{\"shape\":[[[[", 18);
    reject(header, 0, "expected an integer");
}
END_TEST

/* --- rule 4: entries --- */

START_TEST(entries_have_exactly_their_three_keys)
{
    reject("{\"a\":1}", 0, "expected an object");
    reject("{\"a\":{}}", 0, "a: expected dtype, shape and data_offsets");
    reject("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "a: expected dtype, shape and");
    reject("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0, "a: expected dtype, shape and");
    reject("{\"a\":{\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "a: expected dtype, shape and");
    reject("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":1}}", 0,
           "repeated or unknown key");
}
END_TEST

START_TEST(offsets_are_exactly_two_integers)
{
    reject("{\"a\":" ENTRY("U8", "[1]", "[0]") "}", 1, "expected 2 data_offsets, got fewer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[]") "}", 1, "expected 2 data_offsets, got fewer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[0,1,1]") "}", 1, "expected 2 data_offsets, got more");
    reject("{\"a\":" ENTRY("U8", "[1]", "[0,1.0]") "}", 1, "expected an integer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[0,1e0]") "}", 1, "expected an integer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[-1,0]") "}", 1, "no negative number");
    reject("{\"a\":" ENTRY("U8", "[1]", "[-0,1]") "}", 1, "expected an integer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[\"0\",1]") "}", 1, "expected an integer");
    reject("{\"a\":" ENTRY("U8", "[1]", "[0,18446744073709551616]") "}", 1, "beyond 64 bits");
    reject("{\"a\":" ENTRY("U8", "[1]", "{}") "}", 1, "expected an array");
}
END_TEST

START_TEST(sizes_are_integers_from_0_and_at_most_8)
{
    take("{\"a\":" ENTRY("U8", "[1,1,1,1,1,1,1,1]", "[0,1]") "}", 1);
    reject("{\"a\":" ENTRY("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "rank above 8");
    reject("{\"a\":" ENTRY("U8", "[-1]", "[0,1]") "}", 1, "no negative number");
    reject("{\"a\":" ENTRY("U8", "[1.0]", "[0,1]") "}", 1, "expected an integer");
    reject("{\"a\":" ENTRY("U8", "1", "[0,1]") "}", 1, "expected an array");
}
END_TEST

/* --- rule 5: types --- */

START_TEST(every_type_is_taken_with_its_size)
{
    static const struct {
        const char *name;
        int bits;
    } types[] = {{"BOOL", 8},    {"U8", 8},      {"I8", 8},      {"I16", 16},    {"U16", 16},
                 {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},    {"F32", 32},
                 {"F64", 64},    {"I64", 64},    {"U64", 64},    {"C64", 64},    {"F8_E5M2", 8},
                 {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[200];
        int bytes = types[i].bits; /* of 8 elements */
        snprintf(header, sizeof header, "{\"a\":" ENTRY("%s", "[2,4]", "[0,%d]") "}", types[i].name,
                 bytes);
        take(header, (size_t)bytes);
        ck_assert_str_eq(gr_safetensors_at(file, 0)->dtype, types[i].name);
        ck_assert_uint_eq(gr_safetensors_at(file, 0)->bytes, (size_t)bytes);
    }
}
END_TEST

START_TEST(unknown_types_are_rejected)
{
    reject("{\"a\":" ENTRY("F128", "[1]", "[0,16]") "}", 16, "a: unknown dtype 'F128'");
    reject("{\"a\":" ENTRY("f32", "[1]", "[0,4]") "}", 4, "unknown dtype 'f32'");
    reject("{\"a\":{\"dtype\":3,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "expected a string");
}
END_TEST

/* --- rule 6: order --- */

START_TEST(arrays_may_be_named_in_any_order)
{
    take("{\"a\":" ENTRY("U8", "[1]", "[2,3]") ",\"b\":" ENTRY("U8", "[2]", "[0,2]") "}", 3);
    ck_assert_str_eq(gr_safetensors_at(file, 0)->name, "b");
    ck_assert_mem_eq(gr_safetensors_find(file, "a")->data, "\2", 1);
}
END_TEST

START_TEST(holes_and_overlaps_are_rejected)
{
    reject("{\"a\":" ENTRY("U8", "[1]", "[1,2]") "}", 2, "[1,2]: expected to begin at 0");
    reject("{\"a\":" ENTRY("U8", "[1]", "[0,1]") ",\"b\":" ENTRY("U8", "[1]", "[2,3]") "}", 3,
           "b: data_offsets [2,3]: expected to begin at 1");
    reject("{\"a\":" ENTRY("U8", "[2]", "[0,2]") ",\"b\":" ENTRY("U8", "[2]", "[1,3]") "}", 3,
           "b: data_offsets [1,3]: expected to begin at 2");
    reject("{\"a\":" ENTRY("U8", "[2]", "[0,2]") ",\"b\":" ENTRY("U8", "[2]", "[0,2]") "}", 2,
           "expected to begin at 2");
}
END_TEST

/* --- rule 7: sizes --- */

START_TEST(offsets_must_be_what_type_and_shape_need)
{
    reject("{\"a\":" ENTRY("F32", "[2,2]", "[0,15]") "}", 15, "expected 16 bytes of F32 [2,2]");
    reject("{\"a\":" ENTRY("U8", "[1]", "[1,0]") "}", 1, "[1,0]: expected 1 bytes");
    reject("{\"a\":" ENTRY("F4", "[3]", "[0,2]") "}", 2, "not in whole bytes");
}
END_TEST

START_TEST(sizes_that_overflow_are_rejected)
{
    reject("{\"a\":" ENTRY("U8", "[4294967296,4294967296]", "[0,0]") "}", 0, "too large");
    reject("{\"a\":" ENTRY("F64", "[2305843009213693952]", "[0,0]") "}", 0, "too large");
    reject("{\"a\":" ENTRY("U8", "[9223372036854775807,3]", "[0,1]") "}", 1, "too large");
}
END_TEST

/* --- rule 8: the end --- */

START_TEST(the_data_ends_where_the_file_ends)
{
    reject("{\"a\":" ENTRY("U8", "[2]", "[0,2]") "}", 1, "to end by 1");
    reject("{\"a\":" ENTRY("U8", "[2]", "[0,2]") "}", 3, "expected 2 bytes of data, got 3");
    reject("{}", 1, "expected 0 bytes of data, got 1");
}
END_TEST

/* --- rule 9: empty arrays and scalars --- */

START_TEST(empty_arrays_and_scalars_are_valid)
{
    take("{\"e\":" ENTRY("F32", "[0,5]", "[0,0]") ",\"s\":" ENTRY(
             "F32", "[]", "[0,4]") ",\"z\":" ENTRY("F32", "[2,0]", "[4,4]") "}",
         4);
    ck_assert_int_eq(gr_safetensors_find(file, "s")->shape.rank, 0);
    ck_assert_uint_eq(gr_safetensors_find(file, "e")->bytes, 0);
    ck_assert_str_eq(gr_safetensors_at(file, 2)->name, "z");
}
END_TEST

/* --- hostile files --- */

static const char good[] = "{\"__metadata__\":{\"k\":\"v\"},\"a\":" ENTRY(
    "F32", "[2]", "[0,8]") ",\"b\":" ENTRY("U8", "[3]", "[8,11]") "}  ";

START_TEST(files_cut_off_anywhere_are_rejected)
{
    size_t bytes;
    make(good, 11);
    char *content = scratch_read("file.safetensors", &bytes);
    for (size_t n = 0; n < bytes; n++)
        reject_file(scratch_write("cut", content, n), n < 8 ? "expected at least" : "");
    free(content);
}
END_TEST

START_TEST(damaged_files_are_read_or_rejected_but_never_crash)
{
    size_t bytes;
    make(good, 11);
    char *content = scratch_read("file.safetensors", &bytes);
    int taken = 0;
    for (size_t i = 0; i < bytes - 11; i++)
        for (int bit = 0; bit < 8; bit++) {
            content[i] = (char)(content[i] ^ 1 << bit);
            gr_safetensors *f = gr_safetensors_open(scratch_write("bad", content, bytes));
            taken += f != NULL; /* with a name changed, for example */
            gr_safetensors_close(f);
            content[i] = (char)(content[i] ^ 1 << bit);
        }
    ck_assert_int_gt(taken, 0);
    ck_assert_int_lt(taken, 100);
    free(content);
}
END_TEST

START_TEST(many_arrays_are_sorted_and_found)
{
    static char header[1 << 16];
    size_t n = 0;
    for (int i = 0; i < 500; i++) {
        int at = (i * 7) % 500;
        n += (size_t)snprintf(header + n, sizeof header - n,
                              "%c\"%d\":" ENTRY("U8", "[1]", "[%d,%d]"), i ? ',' : '{', i, at,
                              at + 1);
    }
    snprintf(header + n, sizeof header - n, "}");
    take(header, 500);
    for (int i = 0; i < 500; i++) {
        char name[8];
        sprintf(name, "%d", i);
        const gr_array *a = gr_safetensors_find(file, name);
        ck_assert_ptr_nonnull(a);
        ck_assert_int_eq(*(const unsigned char *)a->data, (i * 7) % 500 % 256);
        ck_assert_ptr_eq(gr_safetensors_at(file, (i * 7) % 500), a);
    }
}
END_TEST

START_TEST(memory_is_in_proportion_to_the_file)
{
    inject_begin();
    reject_file(make_claiming(99999999, good, 11), "claims");
    reject("{\"a\":" ENTRY("F64", "[100000000000]", "[0,800000000000]") "}", 8, "to end by 8");
    ck_assert_int_lt(inject_largest(), 8192);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

/* --- failures from outside --- */

static void open_once(const char *path, bool *done)
{
    gr_safetensors *f = gr_safetensors_open(path);
    *done = !inject_happened();
    ck_assert_int_eq(f != NULL, *done);
    gr_safetensors_close(f);
    ck_assert_int_eq(inject_live(), 0);
    ck_assert_int_eq(inject_open_files(), 0);
}

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    const char *path = make(good, 11);
    bool done = false;
    inject_begin();
    for (int64_t n = 0; !done; n++) {
        inject_allocation(n);
        open_once(path, &done);
        if (!done) ck_assert_ptr_nonnull(strstr(gr_last_error(), "out of memory"));
    }
    inject_end();
}
END_TEST

START_TEST(every_failed_file_operation_is_an_error_without_a_leak)
{
    static const inject_call calls[] = {INJECT_OPEN, INJECT_READ, INJECT_SHORT_READ, INJECT_SIZE};
    const char *path = make(good, 11);
    bool done;
    inject_begin();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        inject_file(calls[i], 0);
        open_once(path, &done);
        ck_assert(!done);
        ck_assert_ptr_nonnull(strstr(gr_last_error(), path));
    }
    inject_end();
}
END_TEST

SUITE("safetensors_read", scratch_begin, end, arrays_and_metadata_are_found,
      files_too_short_for_their_header_are_rejected, the_header_must_be_one_json_object,
      metadata_must_be_text, repeated_keys_are_rejected_everywhere, deep_nesting_is_rejected,
      entries_have_exactly_their_three_keys, offsets_are_exactly_two_integers,
      sizes_are_integers_from_0_and_at_most_8, every_type_is_taken_with_its_size,
      unknown_types_are_rejected, arrays_may_be_named_in_any_order, holes_and_overlaps_are_rejected,
      offsets_must_be_what_type_and_shape_need, sizes_that_overflow_are_rejected,
      the_data_ends_where_the_file_ends, empty_arrays_and_scalars_are_valid,
      files_cut_off_anywhere_are_rejected, damaged_files_are_read_or_rejected_but_never_crash,
      many_arrays_are_sorted_and_found, memory_is_in_proportion_to_the_file,
      every_failed_allocation_is_an_error_without_a_leak,
      every_failed_file_operation_is_an_error_without_a_leak)
