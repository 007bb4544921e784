/*
 * layout.c - measures what a file-per-session store pays for its directory
 * layout and for its slot size class, on whatever filesystem DIR is on:
 *   part 1: one flat directory against 256 or 4096 subdirectories (creating,
 *           write cycle, read cycle, readdir, readdir+fstatat, unlinking);
 *   part 2: slot classes 512..8192 (write cycle, read cycle, disk bytes).
 * Prints Markdown on stdout, progress on stderr.  Linux only.
 *
 * Build: gcc -O2 -Wall -Wextra -std=gnu99 -o /tmp/layout benches/layout.c
 * Run:   nice -n 5 /tmp/layout /var/tmp          (ext4, say)
 *        nice -n 5 /tmp/layout /dev/shm          (tmpfs)
 * Small: /tmp/layout -n 2000,5000 -k 2000 -m 20 /var/tmp
 *
 * What is modelled.  A session is one file of mode 0600 named by 64 lower-case
 * hex characters.  It holds two slots of class size c, at offsets 0 and c; a
 * slot is an 88-byte header and then the body.  The file's size is 2c, set by
 * ftruncate, so what no slot has written is a hole.  The sequence number kept
 * in the header decides which slot is current: the higher one.
 *
 * How it is timed.  Wall clock (CLOCK_MONOTONIC), plus the process's own CPU
 * time for the two cycles, since that one is less disturbed by other work on
 * the machine.  Nothing timed calls fsync: the figures are the cost of the
 * system calls, with the kernel's write-back going on behind.  The trees of a
 * group exist together and take turns, loop by loop, the first one rotating;
 * a group is held to -t files, past which the layouts are measured one after
 * another.  Every group also has a "control" tree of 1,000 flat files: its
 * figures say whether the machine was the same from one group to the next.
 *
 * On ext4 without a journal, creating is slow for up to six minutes after many
 * files were unlinked (the kernel passes over recently freed inodes, by a scan
 * of the block group): give -d there, which unlinks at the end of each part.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER = 88, /* bytes of a slot before its body */
    SEQ_AT = 8,  /* where in the header the sequence number is */
    MAX_CLASS = 8192,
    MAX_BODY = 1024,
    MAX_LOOPS = 64,
    MAX_TREES = 8,
    SLICES = 10,       /* creation takes turns in so many slices */
    CONTROL = 1000,    /* files of the control tree */
    NAME = 64,         /* characters of a file's name */
    DENTS = 256 * 1024 /* getdents64 buffer */
};

/* A set of timed samples. */
struct samples {
    int n;
    double v[MAX_LOOPS];
};

/* One directory tree of session files, and everything measured on it. */
struct tree {
    char dir[32];      /* its directory's name under the work directory */
    const char *label; /* what the tables call it */
    int prefix;        /* leading hex characters that name a subdirectory */
    long files;
    int cls; /* slot class c */
    int body;
    uint64_t salt; /* makes this tree's names its own */
    int fd;        /* of its directory */
    struct samples create, write, write_cpu, read, read_cpu, scan, stat;
    double create_s, unlink_s;
    long long dir_bytes; /* st_size of its directories, when full */
    double disk_one;     /* disk bytes per file, one slot written */
    double disk_two;     /* the same, both slots written */
};

/* Options. */
static long opt_counts[8] = {100000, 1000000};
static int opt_ncounts = 2;
static long opt_class = 100000; /* files per class in part 2 */
static int opt_loops = 5;
static int opt_ms = 200;
static int opt_scans = 3;
static long opt_together = 400000; /* most files one layout group holds */
static int opt_defer;              /* unlink at the end of each part */
static const char *opt_parts = "12";

static char workdir[4096]; /* DIR/layout-XXXXXX */
static int workfd = -1;
static char hex2[256][2]; /* byte -> two hex characters */
static uint64_t rng = 0x9e3779b97f4a7c15u;
static unsigned long sink; /* keeps what was read in use */

static void die(const char *fmt, ...) {
    int e = errno;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "layout: ");
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, ": %s\n", strerror(e));
    if (workdir[0]) fprintf(stderr, "layout: left behind: %s\n", workdir);
    exit(1);
}

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double now(void) { return clock_s(CLOCK_MONOTONIC); }
static double cpu(void) { return clock_s(CLOCK_PROCESS_CPUTIME_ID); }

static void progress(const char *fmt, ...) {
    static double start;
    va_list ap;
    if (start == 0) start = now();
    fprintf(stderr, "[%6.1f s] ", now() - start);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- names -------------------------------------------------------------- */

static uint64_t mix(uint64_t x) /* splitmix64's finaliser */
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t next_random(void) /* splitmix64 */
{
    return mix(rng += 0x9e3779b97f4a7c15u);
}

/*
 * The path of file i within its tree: "<64 hex>", "ab/<64 hex>" or
 * "abc/<64 hex>".  It is computed in the timed loops too, because a table of a
 * million names would cost cache misses of its own; main() times it.
 */
static void path_of(const struct tree *t, long i, char *out) {
    char *name = out + (t->prefix ? t->prefix + 1 : 0);
    uint64_t x = t->salt + 4 * (uint64_t)i;
    for (int w = 0; w < 4; w++) {
        uint64_t h = mix((x + w + 1) * 0x9e3779b97f4a7c15u);
        for (int b = 0; b < 8; b++, h >>= 8) memcpy(name + 16 * w + 2 * b, hex2[h & 255], 2);
    }
    name[NAME] = 0;
    if (t->prefix) {
        memcpy(out, name, t->prefix);
        out[t->prefix] = '/';
    }
}

static int subdirs(const struct tree *t) { return t->prefix ? 1 << 4 * t->prefix : 0; }

static void subdir_name(const struct tree *t, int i, char *out) { sprintf(out, "%0*x", t->prefix, i); }

/* ---- samples ------------------------------------------------------------ */

static void add(struct samples *s, double v) {
    if (s->n < MAX_LOOPS) s->v[s->n++] = v;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(struct samples *s) {
    if (s->n == 0) return 0;
    qsort(s->v, s->n, sizeof *s->v, by_value);
    return s->n & 1 ? s->v[s->n / 2] : (s->v[s->n / 2 - 1] + s->v[s->n / 2]) / 2;
}

/* "median (min..max)" into one of a few turning buffers, for printf. */
static const char *show(struct samples *s, int digits) {
    static char buf[8][64];
    static int turn;
    char *b = buf[turn++ & 7];
    double m = median(s);
    snprintf(b, sizeof buf[0], "%.*f (%.*f..%.*f)", digits, m, digits, s->n ? s->v[0] : 0, digits,
             s->n ? s->v[s->n - 1] : 0);
    return b;
}

/* ---- the operations under test ------------------------------------------ */

static unsigned char slot[HEADER + MAX_BODY];
static unsigned char image[2 * MAX_CLASS];

static uint64_t seq_of(const unsigned char *p) {
    uint64_t s;
    memcpy(&s, p + SEQ_AT, sizeof s);
    return s;
}

static void create_one(const struct tree *t, long i) {
    char path[NAME + 8], parent[8] = ".", proc[40];
    uint64_t one = 1;
    path_of(t, i, path);
    if (t->prefix) {
        memcpy(parent, path, t->prefix);
        parent[t->prefix] = 0;
    }
    int fd = openat(t->fd, parent, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) die("O_TMPFILE in %s/%s", t->dir, parent);
    if (fchmod(fd, 0600) != 0) die("fchmod");
    memcpy(slot + SEQ_AT, &one, sizeof one);
    if (pwrite(fd, slot, HEADER + t->body, 0) != HEADER + t->body) die("pwrite of a new file");
    if (ftruncate(fd, 2L * t->cls) != 0) die("ftruncate");
    sprintf(proc, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, proc, t->fd, path, AT_SYMLINK_FOLLOW) != 0) die("linkat %s/%s", t->dir, path);
    if (close(fd) != 0) die("close");
}

#define OPEN_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static void write_cycle(const struct tree *t, long i) {
    char path[NAME + 8];
    struct stat st;
    path_of(t, i, path);
    int fd = openat(t->fd, path, O_RDWR | OPEN_FLAGS);
    if (fd < 0) die("open %s/%s", t->dir, path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) die("flock");
    if (fstat(fd, &st) != 0 || st.st_size != 2L * t->cls) die("fstat");
    if (pread(fd, image, st.st_size, 0) != st.st_size) die("pread");
    uint64_t a = seq_of(image), b = seq_of(image + t->cls);
    uint64_t next = (a > b ? a : b) + 1;
    memcpy(slot + SEQ_AT, &next, sizeof next);
    if (pwrite(fd, slot, HEADER + t->body, a > b ? t->cls : 0) != HEADER + t->body) die("pwrite");
    if (flock(fd, LOCK_UN) != 0 || close(fd) != 0) die("unlock, close");
}

static void read_cycle(const struct tree *t, long i) {
    char path[NAME + 8];
    struct stat st;
    path_of(t, i, path);
    int fd = openat(t->fd, path, O_RDONLY | OPEN_FLAGS);
    if (fd < 0) die("open %s/%s", t->dir, path);
    if (fstat(fd, &st) != 0 || st.st_size != 2L * t->cls) die("fstat");
    if (pread(fd, image, st.st_size, 0) != st.st_size) die("pread");
    sink += image[SEQ_AT];
    if (close(fd) != 0) die("close");
}

/* One timed loop of a cycle over random files: wall and CPU us per cycle. */
static void timed_loop(struct tree *t, void (*cycle)(const struct tree *, long), struct samples *wall,
                       struct samples *own) {
    double c0 = cpu(), t0 = now(), t1;
    long n = 0;
    do {
        for (int k = 0; k < 64; k++, n++) cycle(t, (long)(next_random() % (uint64_t)t->files));
        t1 = now();
    } while ((t1 - t0) * 1e3 < opt_ms);
    double c1 = cpu();
    add(wall, (t1 - t0) * 1e6 / n);
    add(own, (c1 - c0) * 1e6 / n);
}

/* ---- walking a tree ------------------------------------------------------ */

struct linux_dirent64 {
    uint64_t d_ino;
    int64_t d_off;
    unsigned short d_reclen;
    unsigned char d_type;
    char d_name[];
};

enum what { LIST, STAT, DISK, UNLINK };

struct walk {
    long seen;
    long long bytes; /* DISK: st_blocks * 512, summed */
};

static void walk_dir(int fd, enum what what, struct walk *w) {
    static char buf[DENTS] __attribute__((aligned(8)));
    struct stat st;
    if (lseek(fd, 0, SEEK_SET) != 0) die("rewind");
    for (;;) {
        long got = syscall(SYS_getdents64, fd, buf, sizeof buf);
        if (got < 0) die("getdents64");
        if (got == 0) return;
        for (long at = 0; at < got;) {
            struct linux_dirent64 *d = (void *)(buf + at);
            at += d->d_reclen;
            if (d->d_name[0] == '.' || d->d_type == DT_DIR) continue;
            w->seen++;
            if (what == UNLINK) {
                if (unlinkat(fd, d->d_name, 0) != 0) die("unlink %s", d->d_name);
            } else if (what != LIST) {
                if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) die("fstatat %s", d->d_name);
                w->bytes += st.st_blocks * 512LL;
            }
        }
    }
}

/* Walks a whole tree; a fanned-out one by opening each subdirectory in turn. */
static double walk_tree(const struct tree *t, enum what what, struct walk *w) {
    double t0 = now();
    memset(w, 0, sizeof *w);
    if (!t->prefix) walk_dir(t->fd, what, w);
    for (int i = 0; i < subdirs(t); i++) {
        char sub[8];
        subdir_name(t, i, sub);
        int fd = openat(t->fd, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) die("open %s/%s", t->dir, sub);
        walk_dir(fd, what, w);
        close(fd);
    }
    double s = now() - t0;
    if (w->seen != t->files) {
        errno = 0;
        die("%s: walked %ld files of %ld", t->dir, w->seen, t->files);
    }
    return s;
}

/* ---- a tree's life ------------------------------------------------------- */

static void tree_open(struct tree *t) {
    static uint64_t trees;
    char sub[8];
    t->salt = ++trees << 40;
    snprintf(t->dir, sizeof t->dir, "t%lu", (unsigned long)trees);
    if (mkdirat(workfd, t->dir, 0700) != 0) die("mkdir %s", t->dir);
    t->fd = openat(workfd, t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->fd < 0) die("open %s", t->dir);
    for (int i = 0; i < subdirs(t); i++) { /* made beforehand, not timed */
        subdir_name(t, i, sub);
        if (mkdirat(t->fd, sub, 0700) != 0) die("mkdir %s/%s", t->dir, sub);
    }
}

static void tree_measure_dirs(struct tree *t) {
    struct stat st;
    char sub[8];
    if (fstat(t->fd, &st) != 0) die("fstat");
    t->dir_bytes = st.st_size;
    for (int i = 0; i < subdirs(t); i++) {
        subdir_name(t, i, sub);
        if (fstatat(t->fd, sub, &st, 0) != 0) die("fstatat");
        t->dir_bytes += st.st_size;
    }
}

static void tree_remove(struct tree *t) {
    struct walk w;
    char sub[8];
    t->unlink_s = walk_tree(t, UNLINK, &w);
    for (int i = 0; i < subdirs(t); i++) {
        subdir_name(t, i, sub);
        if (unlinkat(t->fd, sub, AT_REMOVEDIR) != 0) die("rmdir %s/%s", t->dir, sub);
    }
    close(t->fd);
    if (unlinkat(workfd, t->dir, AT_REMOVEDIR) != 0) die("rmdir %s", t->dir);
}

/* Waits for write-back, so that one step's dirty pages are not the next's. */
static void settle(const char *after) {
    double t0 = now();
    if (syncfs(workfd) != 0) die("syncfs");
    progress("  syncfs after %s: %.1f s", after, now() - t0);
}

/* Blocks this process has had read from a device: shows if a warm loop was. */
static long blocks_read(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_inblock;
}

static void remove_trees(struct tree *g, int n) {
    progress("  unlinking %d trees", n);
    for (int k = 0; k < n; k++) tree_remove(&g[k]);
    settle("unlinking");
}

/*
 * Runs one group of trees through everything: create (in turns, by slices),
 * syncfs, read every file once (in class groups also write every file once, so
 * that both slots are there), syncfs, the timed loops in turns, the scans in
 * turns, and (unless -d leaves that to the caller) unlink.
 */
static void run_group(struct tree *g, int n, int classes) {
    struct walk w;
    progress("group of %d: %s.. of %ld files, body %d", n, g[0].label, g[0].files, g[0].body);
    for (int k = 0; k < n; k++) tree_open(&g[k]);
    for (int s = 0; s < SLICES; s++)
        for (int k = 0; k < n; k++) {
            struct tree *t = &g[(s + k) % n];
            long from = t->files * s / SLICES, to = t->files * (s + 1) / SLICES;
            double t0 = now();
            for (long i = from; i < to; i++) create_one(t, i);
            double d = now() - t0;
            t->create_s += d;
            if (to > from) add(&t->create, d * 1e6 / (to - from));
        }
    progress("  created");
    settle("creating");
    for (int k = 0; k < n; k++) {
        struct tree *t = &g[k];
        tree_measure_dirs(t);
        for (long i = 0; i < t->files; i++) read_cycle(t, i);
        if (!classes) continue;
        walk_tree(t, DISK, &w);
        t->disk_one = (double)w.bytes / t->files;
        for (long i = 0; i < t->files; i++) write_cycle(t, i);
    }
    if (classes) {
        settle("the second slot");
        for (int k = 0; k < n; k++) {
            walk_tree(&g[k], DISK, &w);
            g[k].disk_two = (double)w.bytes / g[k].files;
        }
    }
    progress("  warm");
    long blocks = blocks_read();
    for (int l = 0; l < opt_loops; l++)
        for (int k = 0; k < n; k++) {
            struct tree *t = &g[(l + k) % n];
            timed_loop(t, write_cycle, &t->write, &t->write_cpu);
            timed_loop(t, read_cycle, &t->read, &t->read_cpu);
        }
    progress("  cycles done, %ld blocks read from a device", blocks_read() - blocks);
    blocks = blocks_read();
    for (int s = 0; !classes && s < opt_scans; s++)
        for (int k = 0; k < n; k++) {
            struct tree *t = &g[(s + k) % n];
            add(&t->scan, walk_tree(t, LIST, &w) * 1e3);
            add(&t->stat, walk_tree(t, STAT, &w) * 1e3);
        }
    if (!classes) progress("  scans done, %ld blocks read from a device", blocks_read() - blocks);
    settle("the cycles");
    if (!opt_defer) remove_trees(g, n);
}

static struct tree control_tree(void) {
    struct tree t = {.label = "control", .files = CONTROL, .cls = 2048, .body = 1024};
    return t;
}

/* ---- part 1: layouts ------------------------------------------------------ */

static void part_layouts(const char *fs) {
    static const struct {
        const char *label;
        int prefix;
    } kinds[] = {{"flat", 0}, {"256", 2}, {"4096", 3}};
    enum { KINDS = 3, ROWS = 8 * (2 * KINDS) };
    static struct tree rows[ROWS];
    int nrows = 0;

    for (int c = 0; c < opt_ncounts; c++) {
        int together = opt_counts[c] * KINDS <= opt_together;
        int per = together ? KINDS : 1;
        for (int k = 0; k < KINDS; k += per) {
            struct tree *g = &rows[nrows];
            for (int j = 0; j < per; j++) {
                struct tree t = {.label = kinds[k + j].label,
                                 .prefix = kinds[k + j].prefix,
                                 .files = opt_counts[c],
                                 .cls = 2048,
                                 .body = 1024};
                g[j] = t;
            }
            g[per] = control_tree();
            run_group(g, per + 1, 0);
            nrows += per + 1;
        }
    }
    if (opt_defer) remove_trees(rows, nrows);

    printf("\n### Layouts on %s: cycles (c = 2048, body 1024), median (min..max) of %d loops of %d ms\n\n", fs,
           opt_loops, opt_ms);
    printf(
        "| layout | files | write cycle, us | write, CPU us | read cycle, us | read, CPU us |\n"
        "|---|---:|---:|---:|---:|---:|\n");
    for (int i = 0; i < nrows; i++) {
        struct tree *t = &rows[i];
        printf("| %s | %ld | %s | %s | %s | %s |\n", t->label, t->files, show(&t->write, 2), show(&t->write_cpu, 2),
               show(&t->read, 2), show(&t->read_cpu, 2));
    }
    printf(
        "\nA `control` row belongs to the rows above it, up to the control before: "
        "those trees existed together and took turns.\n");
    printf("\n### Layouts on %s: creating, listing, unlinking\n\n", fs);
    printf(
        "| layout | files | create, us/file (fastest..slowest tenth) | readdir, ms | "
        "readdir + fstatat, ms | unlink all, us/file | directories' st_size, KiB |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 0; i < nrows; i++) {
        struct tree *t = &rows[i];
        if (!strcmp(t->label, "control")) continue;
        median(&t->create); /* sorts */
        printf("| %s | %ld | %.2f (%.2f..%.2f) | %s | %s | %.2f | %lld |\n", t->label, t->files,
               t->create_s * 1e6 / t->files, t->create.v[0], t->create.v[t->create.n - 1], show(&t->scan, 1),
               show(&t->stat, 1), t->unlink_s * 1e6 / t->files, t->dir_bytes / 1024);
    }
    printf(
        "\nreaddir columns: median (min..max) of %d. Creating: mean over all files "
        "(fastest..slowest of %d slices).\n",
        opt_scans, SLICES);
    fflush(stdout);
}

/* ---- part 2: slot classes -------------------------------------------------- */

static void part_classes(const char *fs) {
    enum { BODIES = 3 };
    static const int bodies[BODIES] = {94, 300, 1024};
    static struct tree rows[BODIES * MAX_TREES];
    int nrows = 0;
    static const struct {
        int cls;
        const char *label;
    } classes[] = {{512, "512"}, {1024, "1024"}, {2048, "2048"}, {4096, "4096"}, {8192, "8192"}};
    printf("\n### Slot classes on %s: flat, %ld files, median (min..max) of %d loops of %d ms\n\n", fs, opt_class,
           opt_loops, opt_ms);
    printf(
        "| body, B | class c | file size | write cycle, us | write, CPU us | read cycle, us | "
        "read, CPU us | disk B/file, one slot written | disk B/file, both |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int b = 0; b < BODIES; b++) {
        struct tree *g = &rows[nrows];
        int n = 0;
        for (unsigned c = 0; c < sizeof classes / sizeof *classes; c++) {
            if (HEADER + bodies[b] > classes[c].cls) continue;
            struct tree t = {.label = classes[c].label, .files = opt_class, .cls = classes[c].cls, .body = bodies[b]};
            g[n++] = t;
        }
        g[n++] = control_tree();
        run_group(g, n, 1);
        nrows += n;
        for (int k = 0; k < n; k++) {
            struct tree *t = &g[k];
            char label[48] = "";
            if (!strcmp(t->label, "control")) snprintf(label, sizeof label, "control (%d files), ", CONTROL);
            printf("| %d | %s%d | %d | %s | %s | %s | %s | %.0f | %.0f |\n", t->body, label, t->cls, 2 * t->cls,
                   show(&t->write, 2), show(&t->write_cpu, 2), show(&t->read, 2), show(&t->read_cpu, 2), t->disk_one,
                   t->disk_two);
        }
        fflush(stdout);
    }
    if (opt_defer) remove_trees(rows, nrows);
}

/* ---- main ----------------------------------------------------------------- */

static void usage(void) {
    fprintf(stderr,
            "usage: layout [options] DIR\n"
            "  -n N[,N..]  files per layout, part 1 (100000,1000000)\n"
            "  -k N        files per class, part 2 (100000)\n"
            "  -l N        timed loops per cycle (5, at most %d)\n"
            "  -m MS       length of a timed loop (200)\n"
            "  -s N        scans, part 1 (3)\n"
            "  -t N        most files the three layouts may hold together (400000);\n"
            "              past that they are measured one after another\n"
            "  -d          unlink at the end of each part, not after each group\n"
            "  -p PARTS    1, 2 or 12 (12)\n",
            MAX_LOOPS);
    exit(2);
}

static const char *fs_name(long type) {
    switch ((unsigned long)type) {
        case 0xEF53:
            return "ext4";
        case 0x01021994:
            return "tmpfs";
        case 0x58465342:
            return "xfs";
        case 0x9123683E:
            return "btrfs";
        default:
            return "another filesystem";
    }
}

static void print_load(const char *when) {
    double l[3] = {0, 0, 0};
    if (getloadavg(l, 3) == 3) printf("Load average at the %s: %.2f %.2f %.2f\n", when, l[0], l[1], l[2]);
}

int main(int argc, char **argv) {
    int o;
    while ((o = getopt(argc, argv, "n:k:l:m:s:t:dp:")) != -1) switch (o) {
            case 'n':
                opt_ncounts = 0;
                for (char *p = strtok(optarg, ","); p; p = strtok(NULL, ",")) {
                    if (opt_ncounts == 8 || atol(p) < SLICES) usage();
                    opt_counts[opt_ncounts++] = atol(p);
                }
                break;
            case 'k':
                opt_class = atol(optarg);
                break;
            case 'l':
                opt_loops = atoi(optarg);
                break;
            case 'm':
                opt_ms = atoi(optarg);
                break;
            case 's':
                opt_scans = atoi(optarg);
                break;
            case 't':
                opt_together = atol(optarg);
                break;
            case 'd':
                opt_defer = 1;
                break;
            case 'p':
                opt_parts = optarg;
                break;
            default:
                usage();
        }
    if (optind + 1 != argc || opt_ncounts == 0 || opt_class < SLICES || opt_ms < 1 || opt_loops < 1 ||
        opt_loops > MAX_LOOPS || opt_scans < 1 || opt_scans > MAX_LOOPS)
        usage();

    for (int i = 0; i < 256; i++) {
        hex2[i][0] = "0123456789abcdef"[i >> 4];
        hex2[i][1] = "0123456789abcdef"[i & 15];
    }
    for (unsigned i = 0; i < sizeof slot; i++) slot[i] = (unsigned char)mix(i + 1);

    char tmp[sizeof workdir];
    struct statfs sf;
    struct utsname u;
    if (snprintf(tmp, sizeof tmp, "%s/layout-XXXXXX", argv[optind]) >= (int)sizeof tmp) usage();
    if (!mkdtemp(tmp)) die("mkdtemp %s", tmp);
    strcpy(workdir, tmp);
    workfd = open(workdir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (workfd < 0 || fstatfs(workfd, &sf) != 0 || uname(&u) != 0) die("open %s", workdir);
    progress("working in %s", workdir);

    double t0 = now();
    const char *fs = fs_name(sf.f_type);
    printf("## layout on %s (%s)\n\n", fs, argv[optind]);
    printf("Linux %s %s, %ld processors, %ld MiB RAM; filesystem block %ld B.\n", u.release, u.machine,
           sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_PHYS_PAGES) / 256 * (sysconf(_SC_PAGESIZE) / 4096),
           (long)sf.f_bsize);
    print_load("start");

    struct tree t = {.files = 1000000};
    char path[NAME + 8];
    double p0 = now();
    for (long i = 0; i < 1000000; i++) {
        path_of(&t, (long)(next_random() % (uint64_t)t.files), path);
        sink += path[0];
    }
    printf("Making one name, which every figure includes: %.3f us\n", now() - p0);

    if (strchr(opt_parts, '1')) part_layouts(fs);
    if (strchr(opt_parts, '2')) part_classes(fs);

    close(workfd);
    if (rmdir(workdir) != 0) die("rmdir");
    printf("\n");
    print_load("end");
    printf("Run time: %.0f s (check %lu)\n", now() - t0, sink % 10);
    return 0;
}
