/* test_model.c - a model's weights to a file and back; files that do not fit change nothing. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/io.h>
#include <string.h>

static gr_tensor *same(gr_module *self, gr_tensor *x)
{
    (void)self;
    return x;
}

/* Parameters of these names, each [2, 3], all elements `value`. */
static gr_model *make(gr_dtype dtype, double value, const char *const *names)
{
    gr_model *m = gr_model_new();
    gr_model_dtype(m, dtype);
    gr_module *net = gr_module_new(m, "test", same, 0);
    for (; *names; names++) {
        gr_init init = {.kind = GR_INIT_UNIFORM, .a = 0};
        gr_param *p = gr_module_param(net, *names, GR_SHAPE(2, 3), init);
        for (int i = 0; i < 6; i++) {
            if (dtype == GR_F64) ((double *)gr_param_write(p))[i] = value;
            else ((float *)gr_param_write(p))[i] = (float)value;
        }
    }
    ck_assert_msg(gr_model_error(m) == NULL, "%s", gr_model_error(m));
    return m;
}

static const char *const ab[] = {"a", "b", NULL};

/* Whether every element of every (float32) parameter is `value`. */
static bool all_are(const gr_model *m, float value)
{
    for (int i = 0; i < gr_model_params(m); i++) {
        const float *x = gr_param_data(gr_model_param(m, i));
        for (int j = 0; j < 6; j++)
            if (memcmp(&x[j], &value, sizeof value)) return false;
    }
    return true;
}

/* Saves a model and frees it; gives the path. */
static const char *saved(gr_model *m)
{
    const char *path = scratch_path("model.safetensors");
    ck_assert_msg(gr_save(m, path, NULL) == GR_OK, "%s", gr_last_error());
    gr_model_free(m);
    return path;
}

/* The file does not load into a model of a and b, which stays as it is. */
static void does_not_fit(const char *path, const char *part)
{
    gr_model *m = make(GR_F32, 7, ab);
    ck_assert_int_eq(gr_load(m, path), GR_ERR_FORMAT);
    ck_assert_msg(strstr(gr_last_error(), part) && strstr(gr_last_error(), path),
                  "expected the path and '%s', got '%s'", part, gr_last_error());
    ck_assert(all_are(m, 7));
    gr_model_free(m);
}

START_TEST(what_is_saved_loads_bit_by_bit)
{
    const char *path = saved(make(GR_F32, 0.1, ab));
    gr_model *m = make(GR_F32, 7, ab);
    ck_assert_msg(gr_load(m, path) == GR_OK, "%s", gr_last_error());
    ck_assert(all_are(m, 0.1f));
    gr_model_free(m);
}
END_TEST

START_TEST(metadata_goes_along)
{
    static const char *const metadata[] = {"epoch", "3", NULL};
    const char *path = scratch_path("model.safetensors");
    gr_model *m = make(GR_F32, 1, ab);
    ck_assert_int_eq(gr_save(m, path, metadata), GR_OK);
    gr_safetensors *f = gr_safetensors_open(path);
    ck_assert_msg(f != NULL, "%s", gr_last_error());
    ck_assert_str_eq(gr_safetensors_metadata(f, "epoch"), "3");
    gr_safetensors_close(f);
    gr_model_free(m);
}
END_TEST

START_TEST(missing_and_unexpected_names_are_listed)
{
    static const char *const bc[] = {"b", "c", NULL};
    const char *path = saved(make(GR_F32, 1, bc));
    does_not_fit(path, "missing in the file: a");
    does_not_fit(path, "not in the model: c");
}
END_TEST

START_TEST(long_lists_are_cut)
{
    static const char *const many[] = {"a",  "b",  "c0", "c1", "c2", "c3",
                                       "c4", "c5", "c6", "c7", NULL};
    does_not_fit(saved(make(GR_F32, 1, many)), "c0, c1, c2, c3, c4, c5 and 2 more");
}
END_TEST

START_TEST(another_dtype_is_listed_and_not_converted)
{
    does_not_fit(saved(make(GR_F64, 1, ab)),
                 "different: a (the file has F64 [2,3], the model float32 [2,3])");
}
END_TEST

START_TEST(another_shape_is_listed)
{
    static const float x[6] = {0};
    gr_array arrays[] = {{"a", "F32", GR_SHAPE(2, 3), x, sizeof x},
                         {"b", "F32", GR_SHAPE(6), x, sizeof x}};
    const char *path = scratch_path("model.safetensors");
    ck_assert_int_eq(gr_safetensors_write(path, arrays, 2, NULL), GR_OK);
    does_not_fit(path, "different: b (the file has F32 [6], the model float32 [2,3])");
}
END_TEST

/* --- partly, and from another dtype --- */

START_TEST(what_fits_is_loaded_and_the_rest_stays)
{
    static const float x[6] = {3, 3, 3, 3, 3, 3};
    static const char *const abc[] = {"a", "b", "c", NULL};
    gr_array arrays[] = {{"a", "F32", GR_SHAPE(2, 3), x, sizeof x},
                         {"b", "F32", GR_SHAPE(6), x, sizeof x},
                         {"d", "F32", GR_SHAPE(2, 3), x, sizeof x}};
    const char *path = scratch_path("model.safetensors");
    gr_load_report r;
    ck_assert_int_eq(gr_safetensors_write(path, arrays, 3, NULL), GR_OK);
    gr_model *m = make(GR_F32, 7, abc);
    ck_assert_int_eq(gr_load_with(m, path, (gr_load_options){0}, &r), GR_ERR_FORMAT);
    ck_assert(all_are(m, 7) && r.loaded == 0);
    ck_assert_int_eq(gr_load_with(m, path, (gr_load_options){.partial = true}, &r), GR_OK);
    ck_assert_int_eq(r.loaded, 1);
    ck_assert_int_eq(r.missing, 1);
    ck_assert_int_eq(r.unexpected, 1);
    ck_assert_int_eq(r.mismatched, 1);
    ck_assert_str_eq(r.text, "missing in the file: c; not in the model: d; different: b (the file "
                             "has F32 [6], the model float32 [2,3])");
    ck_assert_float_eq(*(const float *)gr_param_data(gr_model_param(m, 0)), 3);
    ck_assert_float_eq(*(const float *)gr_param_data(gr_model_param(m, 1)), 7);
    gr_model_free(m);
}
END_TEST

START_TEST(floats_of_the_other_size_are_converted_when_asked_for)
{
    const gr_load_options convert = {.convert = true};
    const char *path = saved(make(GR_F64, 0.5, ab));
    gr_model *m = make(GR_F32, 7, ab);
    ck_assert_msg(gr_load_with(m, path, convert, NULL) == GR_OK, "%s", gr_last_error());
    ck_assert(all_are(m, 0.5f));
    path = saved(m);
    m = make(GR_F64, 7, ab);
    ck_assert_msg(gr_load_with(m, path, convert, NULL) == GR_OK, "%s", gr_last_error());
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq(((const double *)gr_param_data(gr_model_param(m, 1)))[i], 0.5);
    gr_model_free(m);
}
END_TEST

/* --- buffers and shared weights --- */

START_TEST(buffers_are_saved_and_loaded)
{
    const char *path = scratch_path("norm.safetensors");
    gr_model *m = gr_model_new(), *fresh = gr_model_new();
    gr_batch_norm2d_layer(m, 2, (gr_batch_norm_options){0});
    gr_batch_norm2d_layer(fresh, 2, (gr_batch_norm_options){0});
    *(int64_t *)gr_param_write(gr_model_find(m, "num_batches_tracked")) = 12;
    *(float *)gr_param_write(gr_model_find(m, "running_mean")) = 3.5f;
    ck_assert_int_eq(gr_save(m, path, NULL), GR_OK);
    ck_assert_msg(gr_load(fresh, path) == GR_OK, "%s", gr_last_error());
    ck_assert_int_eq(*(const int64_t *)gr_param_data(gr_model_find(fresh, "num_batches_tracked")),
                     12);
    ck_assert_float_eq(*(const float *)gr_param_data(gr_model_find(fresh, "running_mean")), 3.5f);
    gr_model_free(fresh);
    gr_model_free(m);
}
END_TEST

/* One parameter [2, 3] of the names a and b. */
static gr_model *shared(float value)
{
    static const char *const a[] = {"a", NULL};
    gr_model *m = make(GR_F32, value, a);
    gr_module_share(gr_model_module(m, ""), "b", gr_model_param(m, 0));
    return m;
}

START_TEST(a_shared_weight_is_saved_by_both_names_and_loads_by_one)
{
    static const char *const only_b[] = {"b", NULL};
    gr_model *both = make(GR_F32, 7, ab);
    ck_assert_msg(gr_load(both, saved(shared(3))) == GR_OK, "%s", gr_last_error());
    ck_assert(all_are(both, 3));
    gr_model_free(both);
    gr_model *m = shared(7);
    ck_assert_msg(gr_load(m, saved(make(GR_F32, 4, only_b))) == GR_OK, "%s", gr_last_error());
    ck_assert(all_are(m, 4));
    gr_model_free(m);
}
END_TEST

START_TEST(two_values_for_one_shared_weight_are_refused)
{
    gr_model *m = make(GR_F32, 1, ab), *own = shared(7);
    *(float *)gr_param_write(gr_model_param(m, 1)) = 2;
    ck_assert_int_eq(gr_load(own, saved(m)), GR_ERR_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(),
               "different: b (shared with a, of which the file has other values)"));
    ck_assert(all_are(own, 7));
    gr_model_free(own);
}
END_TEST

/* --- failures --- */

START_TEST(no_file_and_no_safetensors_file_are_errors)
{
    gr_model *m = make(GR_F32, 7, ab);
    ck_assert_int_eq(gr_load(m, scratch_path("none")), GR_ERR_FILE);
    ck_assert(all_are(m, 7));
    gr_model_free(m);
    does_not_fit(scratch_write("text", "no model at all", 15), "its header claims");
}
END_TEST

START_TEST(every_failed_allocation_leaves_the_model_unchanged)
{
    const char *path = saved(make(GR_F32, 1, ab));
    gr_model *m = make(GR_F32, 7, ab);
    for (int i = 0; i < 2; i++) gr_model_param_name(m, i); /* made now, if they are kept */
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_status status = gr_load(m, path);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert(all_are(m, done ? 1 : 7));
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
    gr_model_free(m);
}
END_TEST

START_TEST(every_failed_allocation_leaves_the_old_file)
{
    const char *path = scratch_write("model", "old", 3);
    gr_model *m = make(GR_F32, 7, ab);
    inject_begin();
    for (int64_t n = 0;; n++) {
        inject_allocation(n);
        gr_status status = gr_save(m, path, NULL);
        if (!inject_happened()) break;
        size_t bytes;
        char *content = scratch_read("model", &bytes);
        ck_assert_int_eq(status, GR_ERR_MEMORY);
        ck_assert_str_eq(content, "old");
        ck_assert_int_eq(scratch_files(), 1);
        free(content);
    }
    inject_end();
    gr_model_free(m);
}
END_TEST

SUITE("model", scratch_begin, scratch_end, what_is_saved_loads_bit_by_bit, metadata_goes_along,
      missing_and_unexpected_names_are_listed, long_lists_are_cut,
      another_dtype_is_listed_and_not_converted, another_shape_is_listed,
      what_fits_is_loaded_and_the_rest_stays, floats_of_the_other_size_are_converted_when_asked_for,
      buffers_are_saved_and_loaded, a_shared_weight_is_saved_by_both_names_and_loads_by_one,
      two_values_for_one_shared_weight_are_refused, no_file_and_no_safetensors_file_are_errors,
      every_failed_allocation_leaves_the_model_unchanged,
      every_failed_allocation_leaves_the_old_file)
