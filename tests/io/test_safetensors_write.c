/* test_safetensors_write.c - files are written as the format says, whole or not at all. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/io.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const float weight[2] = {1.5f, -2};
static const double scale[1] = {0.25};
static const unsigned char mask[3] = {1, 0, 1};

static gr_array array_of(const char *name, const char *dtype, gr_shape shape, const void *data,
                         size_t bytes)
{
    return (gr_array){name, dtype, shape, data, bytes};
}

enum { SAMPLES = 4 };

static void fill(gr_array arrays[SAMPLES])
{
    arrays[0] = array_of("mask", "BOOL", GR_SHAPE(3), mask, sizeof mask);
    arrays[1] = array_of("weight", "F32", GR_SHAPE(1, 2), weight, sizeof weight);
    arrays[2] = array_of("scale", "F64", GR_SCALAR, scale, sizeof scale);
    arrays[3] = array_of("none", "F32", GR_SHAPE(0, 2), NULL, 0);
}

static gr_status write_samples(const char *path)
{
    static const char *const metadata[] = {"format", "pt", "note", "\xC3\xA4 \"q\"\n", NULL};
    gr_array arrays[SAMPLES];
    fill(arrays);
    return gr_safetensors_write(path, arrays, SAMPLES, metadata);
}

START_TEST(what_is_written_reads_back)
{
    const char *path = scratch_path("a.safetensors");
    gr_array arrays[SAMPLES];
    fill(arrays);
    ck_assert_msg(write_samples(path) == GR_OK, "%s", gr_last_error());
    gr_safetensors *f = gr_safetensors_open(path);
    ck_assert_msg(f != NULL, "%s", gr_last_error());
    ck_assert_int_eq(gr_safetensors_count(f), SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        const gr_array *a = gr_safetensors_find(f, arrays[i].name);
        ck_assert_ptr_nonnull(a);
        ck_assert_str_eq(a->dtype, arrays[i].dtype);
        ck_assert(gr_shape_equal(&a->shape, &arrays[i].shape));
        ck_assert_uint_eq(a->bytes, arrays[i].bytes);
        if (a->bytes) ck_assert_mem_eq(a->data, arrays[i].data, a->bytes);
    }
    ck_assert_str_eq(gr_safetensors_metadata(f, "note"), "\xC3\xA4 \"q\"\n");
    gr_safetensors_close(f);
}
END_TEST

START_TEST(the_bytes_are_those_of_the_reference_implementation)
{
    static const char expected[] =
        "{\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]}}";
    gr_array arrays[2] = {array_of("a", "F32", GR_SHAPE(1, 2), weight, sizeof weight),
                          array_of("b", "F64", GR_SCALAR, scale, sizeof scale)};
    size_t bytes, length = sizeof expected - 1, padded = (length + 7) / 8 * 8;
    ck_assert_int_eq(gr_safetensors_write(scratch_path("b"), arrays, 2, NULL), GR_OK);
    char *content = scratch_read("b", &bytes);
    ck_assert_uint_eq(bytes, 8 + padded + 16);
    ck_assert_uint_eq((unsigned char)content[0], padded);
    ck_assert_mem_eq(content + 1, "\0\0\0\0\0\0\0", 7);
    ck_assert_mem_eq(content + 8, expected, length);
    for (size_t i = length; i < padded; i++) ck_assert_int_eq(content[8 + i], ' ');
    ck_assert_mem_eq(content + 8 + padded, scale, 8);
    ck_assert_mem_eq(content + 8 + padded + 8, weight, 8);
    free(content);
}
END_TEST

START_TEST(no_arrays_make_a_valid_file)
{
    ck_assert_int_eq(gr_safetensors_write(scratch_path("c"), NULL, 0, NULL), GR_OK);
    gr_safetensors *f = gr_safetensors_open(scratch_path("c"));
    ck_assert_msg(f != NULL, "%s", gr_last_error());
    ck_assert_int_eq(gr_safetensors_count(f), 0);
    gr_safetensors_close(f);
}
END_TEST

static void cannot_write(gr_array a, const char *part)
{
    gr_array arrays[2] = {array_of("x", "F32", GR_SHAPE(2), weight, sizeof weight), a};
    ck_assert_int_eq(gr_safetensors_write(scratch_path("d"), arrays, 2, NULL), GR_ERR_ARGUMENT);
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected '%s', got '%s'", part,
                  gr_last_error());
    ck_assert_int_eq(scratch_files(), 0);
}

START_TEST(arrays_that_make_no_valid_file_are_errors)
{
    gr_shape pair = GR_SHAPE(2);
    cannot_write(array_of("x", "F32", pair, weight, 8), "x: is there twice");
    cannot_write(array_of(NULL, "F32", pair, weight, 8), "needs a name");
    cannot_write(array_of("\xFF", "F32", pair, weight, 8), "needs a name in UTF-8");
    cannot_write(array_of("__metadata__", "F32", pair, weight, 8), "other than __metadata__");
    cannot_write(array_of("y", "float", pair, weight, 8), "unknown dtype 'float'");
    cannot_write(array_of("y", NULL, pair, weight, 8), "unknown dtype ''");
    cannot_write(array_of("y", "F32", pair, weight, 7), "y: expected 8 bytes of F32 [2], got 7");
    cannot_write(array_of("y", "F32", pair, NULL, 8), "at NULL");
    cannot_write(array_of("y", "F32", GR_SHAPE(-2), weight, 8), "y: expected");
}
END_TEST

START_TEST(metadata_that_makes_no_valid_file_is_an_error)
{
    static const char *const odd[] = {"a", NULL}, *const twice[] = {"a", "1", "a", "2", NULL},
                             *const bytes[] = {"a", "\xFF", NULL};
    ck_assert_int_eq(gr_safetensors_write(scratch_path("e"), NULL, 0, odd), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_safetensors_write(scratch_path("e"), NULL, 0, twice), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_safetensors_write(scratch_path("e"), NULL, 0, bytes), GR_ERR_ARGUMENT);
    ck_assert_int_eq(scratch_files(), 0);
}
END_TEST

START_TEST(the_mode_of_an_existing_file_is_kept)
{
    struct stat s;
    const char *path = scratch_write("f", "old", 3);
    chmod(path, 0600);
    ck_assert_int_eq(write_samples(path), GR_OK);
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_int_eq(s.st_mode & 0777, 0600);
}
END_TEST

/* The old content is there, and nothing else. */
static void is_untouched(void)
{
    size_t bytes;
    char *content = scratch_read("g", &bytes);
    ck_assert_ptr_nonnull(content);
    ck_assert_str_eq(content, "old");
    free(content);
    ck_assert_int_eq(scratch_files(), 1);
    ck_assert_int_eq(inject_live(), 0);
    ck_assert_int_eq(inject_open_files(), 0);
}

START_TEST(a_failed_allocation_leaves_the_old_file)
{
    const char *path = scratch_write("g", "old", 3);
    inject_begin();
    for (int64_t n = 0;; n++) {
        inject_allocation(n);
        gr_status status = write_samples(path);
        if (!inject_happened()) break;
        ck_assert_int_eq(status, GR_ERR_MEMORY);
        is_untouched();
    }
    inject_end();
}
END_TEST

START_TEST(a_failed_file_operation_leaves_the_old_file)
{
    static const inject_call calls[] = {INJECT_OPEN, INJECT_WRITE, INJECT_SHORT_WRITE,
                                        INJECT_SYNC, INJECT_CLOSE, INJECT_RENAME};
    const char *path = scratch_write("g", "old", 3);
    inject_begin();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        inject_file(calls[i], 0);
        ck_assert_msg(write_samples(path) == GR_ERR_FILE, "case %zu", i);
        ck_assert(inject_happened());
        ck_assert_ptr_nonnull(strstr(gr_last_error(), path));
        is_untouched();
    }
    inject_end();
}
END_TEST

START_TEST(a_folder_that_does_not_exist_is_an_error)
{
    ck_assert_int_eq(write_samples(scratch_path("no/file")), GR_ERR_FILE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "no/file: cannot create: No such file"));
}
END_TEST

SUITE("safetensors_write", scratch_begin, scratch_end, what_is_written_reads_back,
      the_bytes_are_those_of_the_reference_implementation, no_arrays_make_a_valid_file,
      arrays_that_make_no_valid_file_are_errors, metadata_that_makes_no_valid_file_is_an_error,
      the_mode_of_an_existing_file_is_kept, a_failed_allocation_leaves_the_old_file,
      a_failed_file_operation_leaves_the_old_file, a_folder_that_does_not_exist_is_an_error)
