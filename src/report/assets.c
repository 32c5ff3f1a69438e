/* The fixed part of a report: where it comes from, and pages made of it. */
#include <stdio.h>
#include <unistd.h>

#include "report/pages.h"
#include "report/report_config.h"

static const char *const assets[] = {"report.js", "report.css", "index.js", "site.js"};
static const char *const bundles[] = {"vega.min.js", "vega-lite.min.js", "vega-embed.min.js"};
#define LICENCES "bundle-licences.txt"

static bool readable(const char *folder, const char *name)
{
    char *path = nissl__format("%s/%s", folder, name);
    const bool there = path != NULL && access(path, R_OK) == 0;
    nissl__free(path);
    return there;
}

/* The web folder: the one asked for, beside the program, installed with it, or installed. */
static nissl_status find_web(nissl__report *report, nissl_error *err)
{
    char program[4096];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = NULL, *candidates[4] = {NULL};
    nissl_status status = NISSL_OK;
    size_t count = 0, i;
    if (report->opt->web != NULL) {
        candidates[count++] = nissl__strdup(report->opt->web);
    } else {
        program[NISSL__MAX(n, 0)] = '\0';
        if ((slash = strrchr(program, '/')) != NULL) {
            *slash = '\0';
            candidates[count++] = nissl__format("%s/web", program);
            candidates[count++] = nissl__format("%s/../share/nissl/web", program);
        }
        candidates[count++] = nissl__strdup(NISSL_WEB_FOLDER);
    }
    for (i = 0; i < count && report->web == NULL; i++)
        if (candidates[i] != NULL && readable(candidates[i], "index.html")) {
            report->web = candidates[i];
            candidates[i] = NULL;
        }
    if (report->web == NULL)
        status = NISSL__FAIL(err, NISSL_ERR_IO,
                             "%s/index.html: cannot be read; reports are made of this folder",
                             candidates[0] != NULL ? candidates[0] : NISSL_WEB_FOLDER);
    for (i = 0; i < count; i++)
        nissl__free(candidates[i]);
    return status;
}

/* Copies web/name to assets/name. */
static nissl_status copy_asset(const nissl__report *report, const char *name, size_t *size,
                               nissl_error *err)
{
    char *path = nissl__format("%s/%s", report->web, name);
    char *target = nissl__format("assets/%s", name), *bytes = NULL;
    nissl_status status = path == NULL || target == NULL
                              ? NISSL__NO_MEMORY(err, strlen(report->web) + strlen(name))
                              : nissl__report_read(path, &bytes, size, err);
    if (status == NISSL_OK && *size > 0)
        status = nissl__report_write_bytes(report->directory, target, bytes, *size, err);
    nissl__free(path);
    nissl__free(target);
    nissl__free(bytes);
    return status;
}

nissl_status nissl__assets_write(nissl__report *report, nissl_error *err)
{
    static const char *const folders[] = {"assets", "data", "site", "stimuli", "charts"};
    size_t size = 0;
    nissl_status status = find_web(report, err);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && status == NISSL_OK; i++)
        status = nissl__report_make_folder(report->directory, folders[i], err);
    for (size_t i = 0; i < sizeof assets / sizeof assets[0] && status == NISSL_OK; i++)
        status = copy_asset(report, assets[i], &size, err);
    report->bundles = true;
    for (size_t i = 0; i < sizeof bundles / sizeof bundles[0] && status == NISSL_OK; i++) {
        size = 0; /* a build that could not fetch a bundle leaves an empty file */
        if (readable(report->web, bundles[i]))
            status = copy_asset(report, bundles[i], &size, err);
        report->bundles = report->bundles && size > 0;
    }
    if (status == NISSL_OK && report->bundles && readable(report->web, LICENCES))
        status = copy_asset(report, LICENCES, &size, err);
    return status == NISSL_OK ? nissl__charts_load(report, err) : status;
}

/* ---- pages ---- */

typedef struct text_buffer {
    char *text;
    size_t size, capacity;
    bool failed;
} text_buffer;

static void append(text_buffer *b, const char *bytes, size_t n)
{
    if (b->size + n + 1 > b->capacity) {
        const size_t capacity = 2 * (b->size + n + 1);
        char *text = nissl__resize(b->text, b->capacity, capacity, 1);
        if (text == NULL) {
            b->failed = true;
            return;
        }
        b->text = text;
        b->capacity = capacity;
    }
    memcpy(b->text + b->size, bytes, n);
    b->size += n;
}

static void append_escaped(text_buffer *b, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&': append(b, "&amp;", 5); break;
        case '<': append(b, "&lt;", 4); break;
        case '>': append(b, "&gt;", 4); break;
        case '"': append(b, "&quot;", 6); break;
        case '\'': append(b, "&#39;", 5); break;
        default: append(b, text, 1);
        }
}

static void append_bundles(text_buffer *b, const char *root)
{
    for (size_t i = 0; i < sizeof bundles / sizeof bundles[0]; i++) {
        append(b, "<script defer src=\"", 19);
        append(b, root, strlen(root));
        append(b, "assets/", 7);
        append(b, bundles[i], strlen(bundles[i]));
        append(b, "\"></script>\n", 12);
    }
}

nissl_status nissl__page_write(const nissl__report *report, const char *template_name,
                               const char *root, const char *title, const char *number,
                               const char *name, nissl_error *err)
{
    char *path = nissl__format("%s/%s", report->web, template_name), *shell = NULL;
    json_t *clean = nissl__json_text(title);
    text_buffer page = {0};
    size_t size = 0;
    nissl_status status = path == NULL || clean == NULL
                              ? NISSL__NO_MEMORY(err, strlen(report->web) + strlen(title))
                              : nissl__report_read(path, &shell, &size, err);
    if (status != NISSL_OK)
        goto done;
    for (const char *at = shell; *at != '\0';) {
        const char *token = strchr(at, '@');
        if (token == NULL) {
            append(&page, at, strlen(at));
            break;
        }
        append(&page, at, (size_t)(token - at));
        if (strncmp(token, "@TITLE@", 7) == 0) {
            append_escaped(&page, json_string_value(clean));
            at = token + 7;
        } else if (strncmp(token, "@NUMBER@", 8) == 0) {
            append_escaped(&page, number);
            at = token + 8;
        } else if (strncmp(token, "@BUNDLES@\n", 10) == 0) {
            if (report->bundles)
                append_bundles(&page, root);
            at = token + 10;
        } else {
            append(&page, token, 1);
            at = token + 1;
        }
    }
    if (page.failed)
        status = NISSL__NO_MEMORY(err, 2 * size);
    else
        status = nissl__report_write_bytes(report->directory, name, page.text, page.size, err);
done:
    json_decref(clean);
    nissl__free(path);
    nissl__free(shell);
    nissl__free(page.text);
    return status;
}
