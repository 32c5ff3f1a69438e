/* Reading and writing the preprocessing JSON. */
#include <jansson.h>

#include "recording/preprocess.h"

#define MAX_SIDE   65536
#define MAX_VALUES 65536

static const char *const channel_names[] = {NULL, "RGB", "BGR", "grey"};
static const char *const layout_names[] = {NULL, "NCHW", "NHWC", "flat"};

/* The place in the text that an error names. */
typedef struct reader {
    const char *label;
    nissl__preprocess *out;
} reader;

static nissl_status wrong(const reader *r, const char *key, const char *expected,
                          const json_t *found, nissl_error *err)
{
    char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    nissl_status status = NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: \"%s\" must be %s, found %.60s",
                                      r->label, key, expected, text ? text : "something else");
    free(text);
    return status;
}

static nissl_status read_side(const reader *r, const char *key, const json_t *value, int64_t *out,
                              nissl_error *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > MAX_SIDE)
        return wrong(r, key, "a whole number of pixels, 1 .. 65536", value, err);
    *out = json_integer_value(value);
    return NISSL_OK;
}

/* n, or [height, width]. */
static nissl_status read_sides(const reader *r, const char *key, const json_t *value,
                               int64_t *height, int64_t *width, nissl_error *err)
{
    nissl_status status;
    if (json_is_integer(value)) {
        if ((status = read_side(r, key, value, height, err)) == NISSL_OK)
            *width = *height;
        return status;
    }
    if (!json_is_array(value) || json_array_size(value) != 2)
        return wrong(r, key, "a side or [height, width]", value, err);
    if ((status = read_side(r, key, json_array_get(value, 0), height, err)) != NISSL_OK)
        return status;
    return read_side(r, key, json_array_get(value, 1), width, err);
}

static nissl_status read_resize(reader *r, const json_t *value, nissl_error *err)
{
    nissl__preprocess *p = r->out;
    nissl_status status = NISSL_OK;
    const char *key;
    json_t *entry;
    bool has_width = false, has_height = false;
    if (!json_is_object(value))
        return wrong(r, "resize", "an object such as {\"shorter\": 256, \"filter\": \"bilinear\"}",
                     value, err);
    p->filter = NISSL__FILTER_BILINEAR;
    json_object_foreach((json_t *)(uintptr_t)value, key, entry)
    {
        nissl__resize_kind kind = p->resize;
        if (strcmp(key, "shorter") == 0) {
            kind = NISSL__RESIZE_SHORTER;
            if ((status = read_side(r, "resize.shorter", entry, &p->height, err)) == NISSL_OK)
                p->width = p->height;
        } else if (strcmp(key, "cover") == 0) {
            kind = NISSL__RESIZE_COVER;
            status = read_sides(r, "resize.cover", entry, &p->height, &p->width, err);
        } else if (strcmp(key, "height") == 0) {
            kind = NISSL__RESIZE_EXACT;
            has_height = true;
            status = read_side(r, "resize.height", entry, &p->height, err);
        } else if (strcmp(key, "width") == 0) {
            kind = NISSL__RESIZE_EXACT;
            has_width = true;
            status = read_side(r, "resize.width", entry, &p->width, err);
        } else if (strcmp(key, "filter") == 0) {
            if (!json_is_string(entry) || !nissl__filter_find(json_string_value(entry), &p->filter))
                status = wrong(r, "resize.filter",
                               "nearest, box, bilinear, hamming, bicubic or lanczos", entry, err);
        } else {
            status = NISSL__FAIL(
                err, NISSL_ERR_ARGUMENT,
                "%s: unknown key \"resize.%.60s\" (known: shorter, cover, height, width, filter)",
                r->label, key);
        }
        if (status == NISSL_OK && p->resize != NISSL__RESIZE_NONE && kind != p->resize)
            status = NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                                 "%s: \"resize\" takes one of shorter, cover, or height and width",
                                 r->label);
        if (status != NISSL_OK)
            return status;
        p->resize = kind;
    }
    if (p->resize == NISSL__RESIZE_NONE || has_width != has_height)
        return wrong(r, "resize", "an object with shorter, cover, or height and width", value, err);
    return NISSL_OK;
}

static nissl_status read_choice(const reader *r, const char *key, const json_t *value,
                                const char *const *names, int n_names, const char *expected,
                                int *out, nissl_error *err)
{
    for (int i = 1; json_is_string(value) && i < n_names; i++)
        if (strcmp(json_string_value(value), names[i]) == 0) {
            *out = i;
            return NISSL_OK;
        }
    return wrong(r, key, expected, value, err);
}

/* Numbers keep the rounding of float32, in which the values are computed. */
static nissl_status read_factor(const reader *r, const char *key, const json_t *value, bool *has,
                                float *out, nissl_error *err)
{
    float number = json_is_number(value) ? (float)json_number_value(value) : NAN;
    if (!isfinite(number) || number == 0)
        return wrong(r, key, "a finite number other than 0", value, err);
    *has = true;
    *out = number;
    return NISSL_OK;
}

static nissl_status read_values(const reader *r, const char *key, const json_t *value,
                                bool may_be_zero, int64_t *n, float **out, nissl_error *err)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count < 1 || count > MAX_VALUES)
        return wrong(r, key, "a number or a list of 1 to 65536 numbers", value, err);
    float *values = nissl__alloc(count, sizeof *values);
    if (!values)
        return NISSL__NO_MEMORY(err, count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_is_array(value) ? json_array_get(value, i) : value;
        values[i] = json_is_number(entry) ? (float)json_number_value(entry) : NAN;
        if (!isfinite(values[i]) || (values[i] == 0 && !may_be_zero)) {
            nissl__free(values);
            return wrong(r, key, may_be_zero ? "finite numbers" : "finite numbers other than 0",
                         entry, err);
        }
    }
    nissl__free(*out);
    *out = values;
    *n = (int64_t)count;
    return NISSL_OK;
}

static nissl_status read_key(reader *r, const char *key, const json_t *value, nissl_error *err)
{
    nissl__preprocess *p = r->out;
    nissl_status status;
    int choice = 0;
    if (strcmp(key, "description") == 0)
        return json_is_string(value) ? NISSL_OK : wrong(r, key, "text", value, err);
    if (strcmp(key, "resize") == 0)
        return read_resize(r, value, err);
    if (strcmp(key, "crop") == 0) {
        p->crop = true;
        return read_sides(r, key, value, &p->crop_height, &p->crop_width, err);
    }
    if (strcmp(key, "channels") == 0) {
        status = read_choice(r, key, value, channel_names, 4, "\"RGB\", \"BGR\" or \"grey\"",
                             &choice, err);
        p->channels = (nissl__channels)choice;
        return status;
    }
    if (strcmp(key, "layout") == 0) {
        status = read_choice(r, key, value, layout_names, 4, "\"NCHW\", \"NHWC\" or \"flat\"",
                             &choice, err);
        p->layout = (nissl__layout)choice;
        return status;
    }
    if (strcmp(key, "scale") == 0)
        return read_factor(r, key, value, &p->has_scale, &p->scale, err);
    if (strcmp(key, "divide") == 0)
        return read_factor(r, key, value, &p->has_divide, &p->divide, err);
    if (strcmp(key, "mean") == 0)
        return read_values(r, key, value, true, &p->n_mean, &p->mean, err);
    if (strcmp(key, "std") == 0)
        return read_values(r, key, value, false, &p->n_std, &p->std, err);
    return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                       "%s: unknown key \"%.60s\" (known: resize, crop, channels, scale, divide, "
                       "mean, std, layout, "
                       "description)",
                       r->label, key);
}

/* ---- the form with steps in prose ---- */

static nissl_status set_mean(const reader *r, const json_t *root, const char *a, const char *b,
                             bool deviation, nissl_error *err)
{
    nissl__preprocess *p = r->out;
    const json_t *value = json_object_get(root, a);
    if (!value)
        value = json_object_get(root, b);
    if (!value)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: a step needs \"%s\" or \"%s\"", r->label,
                           a, b);
    if (deviation)
        return read_values(r, a, value, false, &p->n_std, &p->std, err);
    return read_values(r, a, value, true, &p->n_mean, &p->mean, err);
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static nissl_status read_step(reader *r, const json_t *root, const char *step, nissl_error *err)
{
    /* Steps that say what the source gives anyway, or what the network's input shape says. */
    static const char *const given[] = {"decode JPEG to RGB 8-bit", "28x28 bytes of the IDX file",
                                        "take the 3072 pixel bytes of the record",
                                        "3072 pixel bytes of the record", "flatten row major"};
    nissl__preprocess *p = r->out;
    nissl_status status;
    int a = 0, b = 0, n = 0;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (begins(step, given[i]))
            return NISSL_OK;
    if (strstr(step, "no scaling"))
        return NISSL_OK;
    if (sscanf(step, "resize so that the shorter side is %d%n", &a, &n) == 1 && a >= 1 &&
        a <= MAX_SIDE && strstr(step, "bilinear with antialiasing")) {
        p->resize = NISSL__RESIZE_SHORTER;
        p->filter = NISSL__FILTER_BILINEAR;
        p->height = p->width = a;
        return NISSL_OK;
    }
    if (sscanf(step, "centre crop %dx%d", &a, &b) == 2 && a >= 1 && a <= MAX_SIDE && b >= 1 &&
        b <= MAX_SIDE) {
        p->crop = true;
        p->crop_width = a;
        p->crop_height = b;
        return NISSL_OK;
    }
    if (begins(step, "reverse channels: RGB -> BGR")) {
        p->channels = NISSL__CHANNELS_BGR;
        return NISSL_OK;
    }
    if (begins(step, "x/255") && (step[5] == '\0' || step[5] == ' ')) {
        p->has_divide = true;
        p->divide = 255;
        return NISSL_OK;
    }
    if (begins(step, "x/127.5 - 1") && (step[11] == '\0' || step[11] == ' ')) {
        p->has_divide = true;
        p->divide = 127.5f;
        nissl__free(p->mean);
        p->n_mean = 0;
        p->mean = nissl__alloc(1, sizeof *p->mean);
        if (!p->mean)
            return NISSL__NO_MEMORY(err, sizeof *p->mean);
        p->n_mean = 1;
        p->mean[0] = 1;
        return NISSL_OK;
    }
    if (strcmp(step, "(x-mean)/std per channel") == 0) {
        if ((status = set_mean(r, root, "mean_RGB", "mean_BGR", false, err)) != NISSL_OK)
            return status;
        return set_mean(r, root, "std_RGB", "std", true, err);
    }
    if (begins(step, "subtract the mean per channel; no division"))
        return set_mean(r, root, "mean_BGR", "mean_RGB", false, err);
    return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                       "%s: the step \"%.120s\" is not understood; write it as keys", r->label,
                       step);
}

static nissl_status read_steps(reader *r, const json_t *root, nissl_error *err)
{
    const json_t *steps = json_object_get(root, "steps");
    nissl_status status;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        if (!json_is_string(step))
            return wrong(r, "steps", "a list of texts", step, err);
        if ((status = read_step(r, root, json_string_value(step), err)) != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

nissl_status nissl__preprocess_parse(const char *label, const char *text, size_t size,
                                     nissl__preprocess *out, nissl_error *err)
{
    json_error_t where;
    nissl__preprocess preprocess = {0};
    reader r = {.label = label, .out = &preprocess};
    nissl_status status = NISSL_OK;
    const char *key;
    json_t *value;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %d, column %d: %s", label, where.line,
                           where.column, where.text);
    if (!json_is_object(root)) {
        status =
            NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: preprocessing must be a JSON object", label);
    } else if (json_is_array(json_object_get(root, "steps"))) {
        preprocess.prose = true;
        status = read_steps(&r, root, err);
    } else {
        json_object_foreach(root, key, value)
        {
            status = read_key(&r, key, value, err);
            if (status != NISSL_OK)
                break;
        }
    }
    json_decref(root);
    if (status == NISSL_OK)
        *out = preprocess;
    else
        nissl__preprocess_free(&preprocess);
    return status;
}

void nissl__preprocess_free(nissl__preprocess *preprocess)
{
    if (!preprocess)
        return;
    nissl__free(preprocess->mean);
    nissl__free(preprocess->std);
    *preprocess = (nissl__preprocess){0};
}

static float *copy_values(const float *values, int64_t n)
{
    float *copy = nissl__alloc((size_t)n, sizeof *copy);
    if (copy && n)
        memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

nissl_status nissl__preprocess_copy(const nissl__preprocess *from, nissl__preprocess *out,
                                    nissl_error *err)
{
    nissl__preprocess copy = *from;
    copy.mean = copy_values(from->mean, from->n_mean);
    copy.std = copy_values(from->std, from->n_std);
    if (!copy.mean || !copy.std) {
        nissl__preprocess_free(&copy);
        return NISSL__NO_MEMORY(err, (size_t)(from->n_mean + from->n_std) * sizeof(float));
    }
    *out = copy;
    return NISSL_OK;
}

/* The shortest decimal that reads back as this float32, as a double for jansson to write. */
static json_t *float_json(float value)
{
    char text[32];
    double shortest = (double)value;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        shortest = strtod(text, NULL);
        if ((float)shortest == value)
            break;
    }
    if (shortest == floor(shortest) && fabs(shortest) < 1e15)
        return json_integer((json_int_t)shortest);
    return json_real(shortest);
}

static json_t *values_json(const float *values, int64_t n)
{
    if (n == 1)
        return float_json(values[0]);
    json_t *array = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(array, float_json(values[i]));
    return array;
}

static json_t *sides_json(int64_t height, int64_t width)
{
    json_t *array = json_array();
    json_array_append_new(array, json_integer(height));
    json_array_append_new(array, json_integer(width));
    return array;
}

nissl_status nissl__preprocess_json(const nissl__preprocess *p, char **out, nissl_error *err)
{
    json_t *root = json_object();
    int failed = 0;
    if (p->resize != NISSL__RESIZE_NONE) {
        json_t *resize = json_object();
        if (p->resize == NISSL__RESIZE_SHORTER)
            failed |= json_object_set_new(resize, "shorter", json_integer(p->height));
        if (p->resize == NISSL__RESIZE_COVER)
            failed |= json_object_set_new(resize, "cover", sides_json(p->height, p->width));
        if (p->resize == NISSL__RESIZE_EXACT) {
            failed |= json_object_set_new(resize, "height", json_integer(p->height));
            failed |= json_object_set_new(resize, "width", json_integer(p->width));
        }
        failed |= json_object_set_new(resize, "filter", json_string(nissl__filter_name(p->filter)));
        failed |= json_object_set_new(root, "resize", resize);
    }
    if (p->crop)
        failed |= json_object_set_new(root, "crop", sides_json(p->crop_height, p->crop_width));
    if (p->channels)
        failed |= json_object_set_new(root, "channels", json_string(channel_names[p->channels]));
    if (p->has_scale)
        failed |= json_object_set_new(root, "scale", float_json(p->scale));
    if (p->has_divide)
        failed |= json_object_set_new(root, "divide", float_json(p->divide));
    if (p->n_mean)
        failed |= json_object_set_new(root, "mean", values_json(p->mean, p->n_mean));
    if (p->n_std)
        failed |= json_object_set_new(root, "std", values_json(p->std, p->n_std));
    if (p->layout)
        failed |= json_object_set_new(root, "layout", json_string(layout_names[p->layout]));
    char *text = failed ? NULL : json_dumps(root, JSON_REAL_PRECISION(9));
    char *copy = text ? nissl__strdup(text) : NULL;
    json_decref(root);
    free(text);
    if (!copy)
        return NISSL__NO_MEMORY(err, 256);
    *out = copy;
    return NISSL_OK;
}
