/* Pictures of the stimuli that some page shows, each written once, and what they are. */
#include "formats/image.h"
#include "report/pages.h"

#define MANY_PICTURES  4000 /* from here on they are smaller, so that the report stays small */
#define FEW_COLOURS    48   /* up to here PNG is smaller than JPEG, and exact */
#define JPEG_QUALITY   85
#define COLOUR_BUCKETS 1024

typedef struct picture {
    int width, height;
    bool png;
} picture;

typedef struct picture_job {
    nissl__report *report;
    const int64_t *stimuli; /* which to write */
    picture *pictures;      /* [n_stimuli] */
    int side;
    nissl__progress *progress;
} picture_job;

int64_t nissl__contact_size(const nissl__report *report)
{
    return NISSL__MIN(report->n_stimuli, NISSL__REPORT_CONTACT);
}

int64_t nissl__contact_stimulus(const nissl__report *report, int64_t place)
{
    return (int64_t)((double)place * (double)report->n_stimuli /
                     (double)nissl__contact_size(report));
}

/* Whether a picture has at most FEW_COLOURS colours. */
static bool few_colours(const uint8_t *rgb, int64_t n_pixels)
{
    uint32_t seen[COLOUR_BUCKETS] = {0}; /* colour + 1, open addressing */
    int n = 0;
    for (int64_t i = 0; i < n_pixels; i++) {
        const uint32_t colour =
            1 + (((uint32_t)rgb[3 * i] << 16) | ((uint32_t)rgb[3 * i + 1] << 8) | rgb[3 * i + 2]);
        uint32_t at = colour * 2654435761u >> 22;
        while (seen[at] != 0 && seen[at] != colour)
            at = (at + 1) % COLOUR_BUCKETS;
        if (seen[at] == 0 && ++n > FEW_COLOURS)
            return false;
        seen[at] = colour;
    }
    return true;
}

static nissl_status write_picture(void *user, int64_t task, int worker, nissl_error *err)
{
    (void)worker;
    picture_job *job = user;
    const int64_t stimulus = job->stimuli[task];
    picture *p = &job->pictures[stimulus];
    uint8_t *rgb = NULL;
    char *path = NULL;
    nissl_status status = nissl_stimuli_picture(job->report->stimuli, stimulus, job->side, &rgb,
                                                &p->width, &p->height, err);
    if (status != NISSL_OK)
        goto done;
    p->png = few_colours(rgb, (int64_t)p->width * p->height);
    path = nissl__format("%s/stimuli/%lld.%s", job->report->directory, (long long)stimulus,
                         p->png ? "png" : "jpg");
    if (path == NULL)
        status = NISSL__NO_MEMORY(err, strlen(job->report->directory));
    else if (p->png)
        status = nissl__png_write(path, rgb, p->height, p->width, err);
    else
        status = nissl__jpeg_write(path, rgb, p->height, p->width, JPEG_QUALITY, err);
    nissl__progress_add(job->progress, 1, 0);
done:
    free(rgb);
    nissl__free(path);
    return status;
}

/* {"factors": [{name, unit, levels}], "items": {"17": [id, [level per factor], width, height,
 * type]}}
 */
static json_t *describe(const nissl__report *report, const picture *pictures, bool *failed)
{
    const int n_factors = nissl_stimuli_n_factors(report->stimuli);
    json_t *out = json_object(), *factors = json_array(), *items = json_object();
    for (int f = 0; f < n_factors; f++) {
        const nissl_factor *factor = nissl_stimuli_factor(report->stimuli, f);
        json_t *entry = json_object(), *levels = json_array();
        nissl__json_put(entry, "name", nissl__json_text(factor->name), failed);
        nissl__json_put(entry, "unit", nissl__json_text(factor->unit), failed);
        for (int l = 0; l < factor->n_levels; l++)
            nissl__json_add(levels, nissl__json_text(factor->levels[l]), failed);
        nissl__json_put(entry, "levels", levels, failed);
        nissl__json_add(factors, entry, failed);
    }
    for (int64_t s = 0; s < report->n_stimuli; s++) {
        json_t *item, *levels;
        char key[24];
        if (!report->pictured[s])
            continue;
        item = json_array();
        levels = json_array();
        for (int f = 0; f < n_factors; f++) {
            const nissl_factor *factor = nissl_stimuli_factor(report->stimuli, f);
            nissl__json_add(levels, json_integer(factor->level == NULL ? -1 : factor->level[s]),
                            failed);
        }
        nissl__json_add(item, nissl__json_text(nissl_stimuli_id(report->stimuli, s)), failed);
        nissl__json_add(item, levels, failed);
        nissl__json_add(item, json_integer(pictures[s].width), failed);
        nissl__json_add(item, json_integer(pictures[s].height), failed);
        nissl__json_add(item, json_string(pictures[s].png ? "png" : "jpg"), failed);
        snprintf(key, sizeof key, "%lld", (long long)s);
        nissl__json_put(items, key, item, failed);
    }
    nissl__json_put(out, "factors", factors, failed);
    nissl__json_put(out, "items", items, failed);
    return out;
}

nissl_status nissl__pictures_write(nissl__report *report, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int64_t *chosen = nissl__alloc((size_t)report->n_stimuli + 1, sizeof *chosen), n = 0;
    picture *pictures = nissl__alloc((size_t)report->n_stimuli + 1, sizeof *pictures);
    nissl__progress progress;
    bool failed = false;
    json_t *data = NULL;
    if (chosen == NULL || pictures == NULL) {
        status = NISSL__NO_MEMORY(err, (size_t)report->n_stimuli * sizeof *pictures);
        goto done;
    }
    for (int64_t i = 0; i < nissl__contact_size(report); i++)
        report->pictured[nissl__contact_stimulus(report, i)] = true;
    for (int64_t s = 0; s < report->n_stimuli; s++)
        if (report->pictured[s])
            chosen[n++] = s;
    nissl__progress_begin(&progress, report->ctx, "drawing", "pictures", (uint64_t)n);
    status = nissl__parallel(
        report->ctx, n, write_picture,
        &(picture_job){report, chosen, pictures,
                       n > MANY_PICTURES ? NISSL__REPORT_SIDE / 2 : NISSL__REPORT_SIDE, &progress},
        err);
    nissl__progress_end(&progress);
    if (status != NISSL_OK)
        goto done;
    data = describe(report, pictures, &failed);
    status = failed ? NISSL__NO_MEMORY(err, 0)
                    : nissl__report_write_json(report->directory, "data/stimuli.js",
                                               "NISSL.stimuli(", data, ");\n", JSON_COMPACT, err);
done:
    json_decref(data);
    nissl__free(chosen);
    nissl__free(pictures);
    return status;
}
