/* What the load is made of and that knows nothing of it: time, bytes, JSON, a histogram, HTTP answers. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

enum { SUB = 128, BUCKETS = 30 * SUB };
static const int64_t SECOND = 1000000000;

typedef struct { char *data; size_t len, cap; } Buf;
typedef struct { uint64_t count[BUCKETS], total; int64_t max; } Histogram;

/* ---- time */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SECOND + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

/* ---- bytes and numbers */

static void add(Buf *b, const void *data, size_t len) {
    if (b->len + len + 1 > b->cap) {
        b->cap = 2 * (b->len + len + 1);
        if (!(b->data = realloc(b->data, b->cap))) abort();
    }
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

static Buf from_hex(const char *text) {
    Buf b = {0};
    add(&b, "", 0);
    for (; text[0] && text[0] != '-' && text[1]; text += 2) {
        char two[3] = {text[0], text[1], 0}, byte = (char)strtol(two, NULL, 16);
        add(&b, &byte, 1);
    }
    return b;
}

static int64_t digits(const char *p, int count) {
    int64_t value = 0;
    for (int i = 0; i < count; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        value = 10 * value + p[i] - '0';
    }
    return value;
}

static void random_bytes(void *to, size_t len) {
    static unsigned char pool[4096];
    static size_t at = sizeof pool;
    if (at + len > sizeof pool) {
        if (getrandom(pool, sizeof pool, 0) != sizeof pool) abort();
        at = 0;
    }
    memcpy(to, pool + at, len);
    at += len;
}

/* ---- what is said on stdout */

static void put_json(const char *text, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 32 || c > 126) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

/* ---- a histogram of ns */

/* Buckets are exact below 128 ns, then 128 to each power of two: the error is below 0.8 %. */
static int bucket_of(int64_t value) {
    if (value < SUB) return value < 0 ? 0 : (int)value;
    int shift = 63 - __builtin_clzll((uint64_t)value) - 7, bucket = (shift + 1) * SUB + (int)(value >> shift) - SUB;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static void record(Histogram *h, int64_t value) {
    h->count[bucket_of(value)]++;
    h->total++;
    if (value > h->max) h->max = value;
}

static double percentile_us(const Histogram *h, double share) {
    uint64_t seen = 0, rank = (uint64_t)(share * (double)h->total + 0.9999999);
    for (int i = 0; i < BUCKETS; i++) {
        if ((seen += h->count[i]) < rank || !seen) continue;
        int shift = i / SUB - 1;
        double low = i < SUB ? i : (double)((uint64_t)(i % SUB + SUB) << shift);
        double middle = i < SUB ? low : low + (double)(1ULL << shift) / 2;
        return (middle < (double)h->max ? middle : (double)h->max) / 1e3;
    }
    return 0;
}

static void put_histogram(const char *name, const Histogram *h) {
    printf("\"%s\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p99.9\":%.2f,\"max\":%.2f}", name, percentile_us(h, 0.5),
           percentile_us(h, 0.9), percentile_us(h, 0.99), percentile_us(h, 0.999), (double)h->max / 1e3);
}

/* ---- HTTP answers */

typedef struct { int status; size_t head, body, total; bool close; } Answer;

/* The next chunk after `at`: its length, and where its data begins. False while that has not come. */
static bool chunk_at(const Buf *in, size_t at, size_t *begin, size_t *len) {
    char *line = at < in->len ? memmem(in->data + at, in->len - at, "\r\n", 2) : NULL;
    if (!line) return false;
    *len = strtoul(in->data + at, NULL, 16);
    *begin = (size_t)(line + 2 - in->data);
    return *begin + *len + 2 <= in->len;
}

/* Whether the HTTP answer at the beginning of `in` is whole; its chunks are then joined in place. `ended`: so has the
 * connection. Status 0: this is not HTTP. */
static bool whole(Buf *in, Answer *a, bool ended) {
    char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!end) return false;
    end[2] = 0;
    if (sscanf(in->data, "HTTP/1.%*d %d", &a->status) != 1) a->status = 0;
    const char *length = strcasestr(in->data, "\ncontent-length:");
    bool chunked = strcasestr(in->data, "\ntransfer-encoding: chunked"), bare = a->status == 204 || a->status == 304;
    a->close = strcasestr(in->data, "\nconnection: close") || !strncmp(in->data, "HTTP/1.0", 8);
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    end[2] = '\r';
    a->head = a->total = (size_t)(end + 4 - in->data);
    a->body = 0;
    if (!a->status || a->status == 101 || bare) return true;
    if (!chunked) {
        a->body = length ? body : in->len - a->head;
        a->total += a->body;
        return length ? in->len >= a->total : ended;
    }
    size_t at = a->head, begin, len;
    do {
        if (!chunk_at(in, at, &begin, &len)) return false;
        at = begin + len + 2;
    } while (len);
    a->total = at;
    for (at = a->head; chunk_at(in, at, &begin, &len) && len; at = begin + len + 2) {
        memmove(in->data + a->head + a->body, in->data + begin, len);
        a->body += len;
    }
    return true;
}
