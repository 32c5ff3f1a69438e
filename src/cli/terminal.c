/* The progress line, messages and signals. */
#include <ctype.h>
#include <langinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "print.h"
#include "terminal.h"

/* A signal handler reaches nothing but globals. */
static nissl_context *volatile watched;
static volatile sig_atomic_t caught;

void cli_terminal_init(cli_terminal *terminal, bool quiet)
{
    *terminal = (cli_terminal){.quiet = quiet, .stderr_is_terminal = isatty(STDERR_FILENO) == 1};
}

static void clear_line(cli_terminal *terminal)
{
    if (terminal->line_shown)
        fputs("\r\033[K", stderr);
    terminal->line_shown = false;
}

/* Text from files may hold anything: what a terminal would obey becomes '?', line breaks ' '. */
static void put_clean(const char *text, FILE *file)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        putc(*c == '\n' || *c == '\t' || *c == '\r' ? ' ' : *c < 32 || *c == 127 ? '?' : *c, file);
}

void cli_terminal_error(cli_terminal *terminal, const char *text)
{
    clear_line(terminal);
    fputs("nissl: ", stderr);
    put_clean(text, stderr);
    putc('\n', stderr);
}

void cli_terminal_note(cli_terminal *terminal, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (terminal->quiet)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cli_terminal_error(terminal, text);
}

void cli_terminal_log(void *user, nissl_log_level level, const char *line)
{
    cli_terminal_note(user, "%s%s", level == NISSL_LOG_WARNING ? "warning: " : "", line);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int columns_of(int descriptor)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns && atoi(columns) > 0)
        return atoi(columns);
    return 80;
}

int cli_terminal_width(void)
{
    return columns_of(STDOUT_FILENO);
}

bool cli_terminal_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void draw(const nissl_progress *p)
{
    char line[256], text[3][32];
    int n, width = columns_of(STDERR_FILENO);
    if (width > (int)sizeof line)
        width = (int)sizeof line;
    n = snprintf(line, sizeof line, "%s", p->task);
    if (p->total > 0)
        n += snprintf(line + n, sizeof line - (size_t)n, " %llu/%llu %s (%d %%)",
                      (unsigned long long)p->done, (unsigned long long)p->total, p->noun,
                      (int)(100.0 * (double)p->done / (double)p->total));
    else
        n += snprintf(line + n, sizeof line - (size_t)n, " %llu %s", (unsigned long long)p->done,
                      p->noun);
    if (p->seconds > 0.5 && p->rate > 0)
        n += snprintf(line + n, sizeof line - (size_t)n, ", %s/s",
                      cli_text_count(p->rate, text[0], sizeof text[0]));
    if (p->bytes > 0)
        n += snprintf(line + n, sizeof line - (size_t)n, ", %s",
                      cli_text_bytes(p->bytes, text[1], sizeof text[1]));
    if (p->remaining >= 0 && p->seconds > 0.5)
        n += snprintf(line + n, sizeof line - (size_t)n, ", %s left",
                      cli_text_seconds(p->remaining, text[2], sizeof text[2]));
    (void)n;
    fprintf(stderr, "\r%.*s\033[K", width - 1, line);
    fflush(stderr);
}

void cli_terminal_progress(void *user, const nissl_progress *progress)
{
    cli_terminal *terminal = user;
    double t = now();
    if (terminal->quiet || !terminal->stderr_is_terminal)
        return;
    if (progress->finished) {
        clear_line(terminal);
        return;
    }
    if (terminal->line_shown && t - terminal->last_drawn < 0.1)
        return;
    draw(progress);
    terminal->line_shown = true;
    terminal->last_drawn = t;
}

static void on_signal(int number)
{
    if (caught) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    caught = number;
    if (watched)
        nissl_context_cancel(watched);
}

void cli_signals_watch(nissl_context *ctx)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    watched = ctx;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_handler = ctx ? on_signal : SIG_DFL, .sa_flags = SA_RESTART},
                         old;
        sigemptyset(&action.sa_mask);
        /* nohup and background shells ignore SIGINT; that stays */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
}

int cli_signal_caught(void)
{
    return caught;
}
