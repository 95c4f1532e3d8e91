/* The load: many subscribers and one publisher on one thread, cheap enough not to be the thing measured.
 *
 * It knows HTTP/1.1, RFC 6455 and event streams, and no server's own protocol: that is in the job on its standard
 * input (load.py writes it), lines of words. Then come the lines `sample rate= seconds= window=` and `quit`; each thing
 * done is answered by one JSON object on a line. An error is one too, {"error": ...}, and ends the program.
 *
 * A payload begins with a mark, "~T" <when it was to be sent, ns of CLOCK_MONOTONIC, 19 digits> "." <number, 8 digits>
 * "|", and goes on with x. Deliveries are marks found in the bytes that come, wherever these are in them; their
 * latency ends when read() has returned them. In a job that says `ordered` there is no mark, and none is looked for, so
 * that messages may be compressed or in base64: the n-th WebSocket message, event or poll's answer after the first is
 * the n-th that was published, if polls ask for one at a time.
 *
 * epoll_wait is called again at once, so a server that writes slowly wakes this program for each of its writes, and
 * pays for the waking: all servers do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "generator.h"

enum { MARK = 31, PARTS = 48, STEPS = 8, CAPTURES = 4, VARS = 8, VALUE = 512, FIRST = 8, ANSWERS = 4, BEGIN = 256 };
enum { BUFFER = 256 * 1024, EVENTS = 256, RING = 1 << 20 };
static const int64_t GRACE = 10 * 1000000000LL, OPENING = 30 * 1000000000LL;

typedef struct { char kind; int var; char *bytes; size_t len; } Part;
typedef struct { int count; Part parts[PARTS]; } Template;
typedef struct { int var; bool last; Buf after, until; } Capture;
typedef struct { Template head, body; int captures; Capture capture[CAPTURES]; } Step;
typedef struct {
    enum { WS, SSE, POLL, POST } kind;
    bool binary;
    int steps, firsts, answers;
    Step step[STEPS];
    Template first[FIRST];
    Buf ready, heard[ANSWERS], answer[ANSWERS];
} Speech;

typedef struct {
    enum { UNUSED, CONNECTING, ANSWERING, STREAM, POSTING } state;
    int fd, number, step;
    bool publisher, subscribed, wants_out, waiting;
    Speech *speech;
    Buf in, out;
    char vars[VARS][VALUE];
    uint64_t n;                                     /* requests and messages sent */
    uint64_t left;                                  /* of the frame that is being read */
    unsigned char head[14], begin[BEGIN], opcode;   /* its header, the first bytes of its payload */
    int head_len, begin_len, tail_len;
    char tail[MARK];                                /* the beginning of a mark whose end is still to come */
    int64_t last;                                   /* the highest number delivered, or the echo waited for */
} Conn;

static Speech subscriber, publisher;
static Template message, echo;
static Buf acknowledged, all_topics;
static bool echoing, ordered;
static int port, wanted, at_once = 50, subscribed, epoll, payload_len = 128;
static int topics = 1, per_connection = 1, hearers;     /* of a connection: one or all; who hears one message */
static char *payload, *buffer;
static Conn *conns, *sender;

static uint32_t ring[RING];     /* how many subscribers have got a number */
static int64_t due[RING];       /* when it was to be sent */
static Histogram latency, late;
static int64_t first_number, next_number = 1, completed, delivered, duplicates, stale, bytes, reads, answered;
static int64_t ends, last_delivery, outstanding;
static int64_t number_now;      /* of the message that is being made */
static char said[BEGIN + 1];    /* the last the publisher was told that is not what it should be told */

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const Conn *c, const char *format, ...) {
    char text[1500];
    int at = 0;
    if (c && c->publisher) at = snprintf(text, sizeof text, "publisher: ");
    else if (c) at = snprintf(text, sizeof text, "subscriber %d of %d: ", c->number + 1, wanted);
    va_list more;
    va_start(more, format);
    vsnprintf(text + at, sizeof text - (size_t)at, format, more);
    va_end(more);
    printf("{\"error\":");
    put_json(text, strlen(text));
    printf("}\n");
    fflush(stdout);
    _exit(1);
}

/* Parts joined by dots: h<hex>, v<variable>, and the letters p(ayload) s(ize) c(onnection) n(umber) k(ey) l(ength)
 * t(opic, its number) a(ll topics, as t0,t1,...). */
static Template to_template(char *text) {
    Template t = {0};
    char *rest = NULL;
    for (char *word = strtok_r(text, ".", &rest); word && *word != '-'; word = strtok_r(NULL, ".", &rest)) {
        if (t.count == PARTS) fail(NULL, "job: more than %d parts in a template", PARTS);
        Part *p = &t.parts[t.count++];
        p->kind = *word;
        if (*word == 'v') p->var = atoi(word + 1);
        if (*word == 'h') {
            Buf b = from_hex(word + 1);
            p->bytes = b.data;
            p->len = b.len;
        }
    }
    return t;
}

/* What a connection hears, or what its message is for: both go round the topics. */
static int topic_of(const Conn *c) {
    return (int)((c->publisher ? number_now : c->number) % topics);
}

static void fill(Buf *to, Conn *c, const Template *t, size_t length) {
    for (int i = 0; i < t->count; i++) {
        const Part *p = &t->parts[i];
        char text[32];
        switch (p->kind) {
        case 'h': add(to, p->bytes, p->len); break;
        case 'v': add(to, c->vars[p->var], strlen(c->vars[p->var])); break;
        case 'p': add(to, payload, (size_t)payload_len); break;
        case 's': add(to, text, (size_t)snprintf(text, sizeof text, "%d", payload_len)); break;
        case 'c': add(to, text, (size_t)snprintf(text, sizeof text, "%d", c->number)); break;
        case 'n': add(to, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)c->n)); break;
        case 't': add(to, text, (size_t)snprintf(text, sizeof text, "%d", topic_of(c))); break;
        case 'a': add(to, all_topics.data, all_topics.len); break;
        case 'l': add(to, text, (size_t)snprintf(text, sizeof text, "%zu", length)); break;
        case 'k': {     /* 16 random bytes in base64: 21 characters, one of 4, "==" */
            static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            unsigned char key[22];
            random_bytes(key, sizeof key);
            for (int k = 0; k < 21; k++) text[k] = set[key[k] & 63];
            text[21] = set[(key[21] & 3) << 4];
            memcpy(text + 22, "==", 2);
            add(to, text, 24);
            break;
        }
        default: fail(NULL, "job: no such part: %c", p->kind);
        }
    }
    c->n++;
}

static void set_payload(int64_t intended, int64_t number) {
    char mark[64];
    snprintf(mark, sizeof mark, "~T%019lld.%08lld|", (long long)intended, (long long)(number % 100000000));
    if (!ordered) memcpy(payload, mark, MARK);
    number_now = number;
}

/* ---- sending */

static void flush_out(Conn *c) {
    size_t at = 0;
    while (at < c->out.len) {
        ssize_t sent = send(c->fd, c->out.data + at, c->out.len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) at = c->out.len;       /* reading says what happened */
        if (sent <= 0) break;
        at += (size_t)sent;
    }
    memmove(c->out.data, c->out.data + at, c->out.len - at);
    c->out.len -= at;
    if (c->wants_out == (c->out.len > 0)) return;
    c->wants_out = c->out.len > 0;
    struct epoll_event e = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* One frame of a client: masked, each with a key of its own (RFC 6455, 5.3). Is sent by flush_out. */
static void add_frame(Conn *c, int opcode, const char *data, size_t len) {
    unsigned char head[14] = {(unsigned char)(0x80 | opcode)}, *key = head + 2;
    int size = len < 126 ? 0 : len < 65536 ? 2 : 8;
    head[1] = (unsigned char)(0x80 | (size == 0 ? len : size == 2 ? 126 : 127));
    for (int i = 0; i < size; i++) *key++ = (unsigned char)(len >> 8 * (size - 1 - i));
    random_bytes(key, 4);
    add(&c->out, head, (size_t)(key + 4 - head));
    size_t at = c->out.len;
    add(&c->out, data, len);
    for (size_t i = 0; i < len; i++) c->out.data[at + i] = (char)(c->out.data[at + i] ^ key[i & 3]);
}

static void add_message(Conn *c, const Template *t) {
    static Buf text;
    text.len = 0;
    fill(&text, c, t, 0);
    add_frame(c, c->speech->binary ? 2 : 1, text.data, text.len);
}

static void add_request(Conn *c, const Step *s) {
    static Buf body;
    body.len = 0;
    fill(&body, c, &s->body, 0);
    fill(&c->out, c, &s->head, body.len);
    add(&c->out, body.data, body.len);
}

static void is_subscribed(Conn *c) {
    if (!c->subscribed && !c->publisher) subscribed++;
    c->subscribed = true;
}

static void send_step(Conn *c) {
    c->state = ANSWERING;
    c->in.len = 0;
    add_request(c, &c->speech->step[c->step]);
    flush_out(c);
    if (c->speech->kind == POLL && c->step == c->speech->steps - 1 && !c->speech->ready.len) is_subscribed(c);
}

static void open_conn(Conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c->fd > 0) close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail(c, "socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail(c, "connect: %s", strerror(errno));
    c->state = CONNECTING;
    c->in.len = c->out.len = 0;
    c->wants_out = true;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
}

static void connected(Conn *c) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) fail(c, "connect: %s", strerror(error));
    if (c->speech->kind == POST) {
        c->state = POSTING;
        is_subscribed(c);
        flush_out(c);
    } else send_step(c);
}

/* ---- receiving */

static void send_echo(Conn *c) {
    c->last = next_number++;
    set_payload(now_ns(), c->last);
    add_message(c, &echo);
    flush_out(c);
}

static void deliver(Conn *c, int64_t intended, int64_t number, int64_t now) {
    bool foreign = !echoing && per_connection == 1 && number % topics != c->number % topics;   /* of another topic */
    if (foreign || (echoing ? !c->waiting || number != c->last : number <= c->last)) {
        duplicates++;
        return;
    }
    if (!echoing) {
        c->last = number;
        if (number < first_number || number >= next_number) {
            stale++;    /* of the sample before */
            return;
        }
        if (++ring[number & (RING - 1)] == (uint32_t)hearers) completed++;
    }
    record(&latency, now - intended);
    delivered++;
    last_delivery = now;
    if (!echoing) return;
    if (now < ends) send_echo(c);
    else { c->waiting = false; outstanding--; }
}

/* A whole message of an ordered job. One that nobody has published yet is something else, and does not move on. */
static void deliver_next(Conn *c, int64_t now) {
    int64_t number = c->last + 1;
    if (number >= next_number) duplicates++;
    else deliver(c, due[number & (RING - 1)], number, now);
}

/* Counts the events by their ends, which may be cut in two; the first is hello. */
static void count_events(Conn *c, const char *data, size_t len, int64_t now) {
    for (const char *p = data, *end = data + len; (p = memchr(p, '\n', (size_t)(end - p))); p++) {
        bool twice = p > data ? p[-1] == '\n' : c->tail_len;
        if (twice && c->subscribed) deliver_next(c, now);
        else if (twice) is_subscribed(c);
    }
    c->tail_len = len && data[len - 1] == '\n';
}

/* Finds the marks; what may be the beginning of one is kept, and put before what comes next, where there is room. */
static void scan(Conn *c, char *data, size_t len, int64_t now) {
    char *p = data - c->tail_len, *end = data + len;
    memcpy(p, c->tail, (size_t)c->tail_len);
    c->tail_len = 0;
    while ((p = memchr(p, '~', (size_t)(end - p)))) {
        if (end - p < MARK) {
            if (end - p == 1 || p[1] == 'T') {
                memcpy(c->tail, p, (size_t)(c->tail_len = (int)(end - p)));
                return;
            }
        } else if (p[1] == 'T' && p[21] == '.' && p[MARK - 1] == '|') {
            int64_t intended = digits(p + 2, 19), number = digits(p + 22, 8);
            if (intended >= 0 && number >= 0) deliver(c, intended, number, now);
        }
        if (++p >= end) return;
    }
}

static void frame_done(Conn *c) {
    size_t len = (size_t)c->begin_len;
    const char *text = (char *)c->begin;
    if (c->opcode == 8)
        fail(c, "the server closes the WebSocket: %d %.*s", len < 2 ? 1005 : c->begin[0] << 8 | c->begin[1],
             len < 2 ? 0 : (int)len - 2, text + 2);
    if (c->opcode == 9) add_frame(c, 10, text, len);
    for (int i = 0; c->opcode < 8 && i < c->speech->answers; i++)
        if (len >= c->speech->heard[i].len && !memcmp(text, c->speech->heard[i].data, c->speech->heard[i].len))
            add_frame(c, c->speech->binary ? 2 : 1, c->speech->answer[i].data, c->speech->answer[i].len);
    if (c->out.len) flush_out(c);
    if (c->publisher && c->opcode < 8) {
        if (acknowledged.len && memmem(text, len, acknowledged.data, acknowledged.len)) answered++;
        else { memcpy(said, text, len); said[len] = 0; }
    }
}

static void read_frames(Conn *c, const char *p, size_t len, int64_t now) {
    while (len) {
        int want = c->head_len < 2 ? 2 : (c->head[1] & 127) == 126 ? 4 : (c->head[1] & 127) == 127 ? 10 : 2;
        if (c->head_len < want) {
            c->head[c->head_len++] = (unsigned char)*p++;
            len--;
            if (c->head_len == 2 && c->head[1] & 0x80) fail(c, "the server masks its frames");
            want = (c->head[1] & 127) == 126 ? 4 : (c->head[1] & 127) == 127 ? 10 : 2;
            if (c->head_len < want || c->head_len < 2) continue;
            c->opcode = c->head[0] & 15;
            c->left = c->head[1] & 127;
            c->begin_len = 0;
            if (want > 2) c->left = 0;
            for (int i = 2; i < want; i++) c->left = c->left << 8 | c->head[i];
        }
        size_t take = c->left < len ? (size_t)c->left : len;
        if (c->opcode >= 8 || c->publisher || c->speech->answers) {
            size_t room = (size_t)(BEGIN - c->begin_len), keep = take < room ? take : room;
            memcpy(c->begin + c->begin_len, p, keep);
            c->begin_len += (int)keep;
        }
        p += take;
        len -= take;
        if ((c->left -= take) == 0) {
            c->head_len = 0;
            if (c->opcode >= 8 || c->publisher || c->speech->answers) frame_done(c);
            if (!ordered || c->publisher || c->opcode >= 8 || !(c->head[0] & 128)) continue;
            if (c->subscribed) deliver_next(c, now);
            else is_subscribed(c);
        }
    }
}

/* What comes once a WebSocket or a stream is open. There are MARK bytes of room before it. */
static void stream(Conn *c, char *data, size_t len, int64_t now) {
    if (c->speech->kind == WS) read_frames(c, data, len, now);
    else if (len >= 7 && !memcmp(data + len - 7, "\r\n0\r\n\r\n", 7)) fail(c, "the server ends the event stream");
    if (ordered && !c->publisher) {
        if (c->speech->kind == SSE) count_events(c, data, len, now);
        return;
    }
    if (!c->subscribed) {
        add(&c->in, data, len);
        const Buf *ready = &c->speech->ready;
        if (!ready->len || memmem(c->in.data, c->in.len, ready->data, ready->len)) is_subscribed(c);
        else if (c->in.len > BUFFER) fail(c, "not ready after %zu bytes: %.200s", c->in.len, c->in.data);
        if (c->subscribed) { free(c->in.data); c->in = (Buf){0}; }
        return;
    }
    if (!c->publisher) scan(c, data, len, now);
}

static void capture(Conn *c, const Capture *one, const char *text, size_t len) {
    const char *found = NULL, *from = text, *at;
    while ((at = memmem(from, len - (size_t)(from - text), one->after.data, one->after.len))) {
        found = from = at + one->after.len;
        if (!one->last) break;
    }
    if (!found) return;
    size_t rest = len - (size_t)(found - text);
    const char *until = memmem(found, rest, one->until.data, one->until.len);
    if (!until || until - found >= VALUE) return;
    memcpy(c->vars[one->var], found, (size_t)(until - found));
    c->vars[one->var][until - found] = 0;
}

static void answer_came(Conn *c, bool ended, int64_t now) {
    Speech *s = c->speech;
    const Step *step = &s->step[c->step];
    bool last = c->step == s->steps - 1;
    Answer a;
    char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
    int status = 0;
    if (end && last && s->kind == SSE && sscanf(c->in.data, "HTTP/1.%*d %d", &status) == 1 && status == 200) {
        a = (Answer){.status = 200, .head = (size_t)(end + 4 - c->in.data)};
    } else if (!whole(&c->in, &a, ended)) {
        if (!ended) return;
        fail(c, "the server ends the connection instead of an answer: %.300s", c->in.len ? c->in.data : "nothing");
    }
    if (!a.status) fail(c, "this is no HTTP answer: %.100s", c->in.data);
    size_t seen = last && s->kind == SSE ? c->in.len : a.head + a.body;
    if (a.status >= 400 || (last && s->kind == WS && a.status != 101) || (last && s->kind == SSE && a.status != 200))
        fail(c, "the server answers %.*s ... %.*s", (int)strcspn(c->in.data, "\r"), c->in.data,
             (int)(a.body < 300 ? a.body : 300), c->in.data + a.head);
    for (int i = 0; i < step->captures; i++) capture(c, &step->capture[i], c->in.data, seen);
    if (last && s->kind != POLL) {      /* what follows the head is the first of the stream */
        c->state = STREAM;
        Buf opening = c->in;
        c->in = (Buf){0};
        for (int i = 0; i < s->firsts; i++) add_message(c, &s->first[i]);
        flush_out(c);
        stream(c, opening.data + a.head, opening.len - a.head, now);
        free(opening.data);
        return;
    }
    if (last) {
        if (!c->subscribed && memmem(c->in.data, seen, s->ready.data, s->ready.len)) is_subscribed(c);
        if (ordered) deliver_next(c, now);
        else scan(c, c->in.data + a.head, a.body, now);
        c->tail_len = 0;
    } else c->step++;
    if (a.close || ended) open_conn(c);
    else send_step(c);
}

static void posts_answered(Conn *c) {
    Answer a;
    while (whole(&c->in, &a, false)) {
        if (!a.status || a.status >= 400)
            fail(c, "the server answers %.*s", (int)(a.total < 400 ? a.total : 400), c->in.data);
        answered++;
        memmove(c->in.data, c->in.data + a.total, c->in.len - a.total);
        c->in.len -= a.total;
    }
}

static void readable(Conn *c) {
    char *data = buffer + MARK;
    ssize_t got = read(c->fd, data, BUFFER);
    int64_t now = now_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0 && c->state != ANSWERING) fail(c, "the connection ends: %s", strerror(errno));
    if (got <= 0 && c->state != ANSWERING)
        fail(c, "the server ends the connection after %lld answers%s%s", (long long)answered,
             *said ? "; it said: " : "", said);
    if (got > 0) reads++;
    if (got > 0 && !c->publisher) bytes += got;
    if (c->state == STREAM) return stream(c, data, (size_t)got, now);
    add(&c->in, data, got > 0 ? (size_t)got : 0);
    if (c->state == ANSWERING) answer_came(c, got <= 0, now);
    else posts_answered(c);
}

/* Waits until something comes, at most for `timeout` ns, for ever where that is negative. True: a line on stdin. */
static bool pump(int64_t timeout) {
    struct epoll_event events[EVENTS];
    struct timespec t = {.tv_sec = timeout / SECOND, .tv_nsec = timeout % SECOND};
    bool line = false;
    int count = epoll_pwait2(epoll, events, EVENTS, timeout < 0 ? NULL : &t, NULL);
    for (int i = 0; i < count; i++) {
        Conn *c = events[i].data.ptr;
        if (!c) { line = true; continue; }
        if (c->state == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
        else if (c->wants_out && events[i].events & EPOLLOUT) flush_out(c);
        if (c->state != CONNECTING && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
    }
    return line;
}

/* ---- what is asked for */

static void open_all(void) {
    int64_t start = now_ns();
    int started = 0;
    while (subscribed < wanted || (sender && !sender->subscribed)) {
        while (started < wanted && started - subscribed < at_once) open_conn(&conns[started++]);
        if (sender && sender->state == UNUSED && subscribed == wanted) open_conn(sender);
        pump(SECOND / 10);
        if (now_ns() < start + OPENING) continue;
        Conn *c = conns;
        while (c < conns + started && c->subscribed) c++;
        if (c == conns + started) c = sender;
        fail(c, "not subscribed after 30 s, at step %d of %d (%d of %d are); the server said: %.300s", c->step + 1,
             c->speech->steps, subscribed, wanted, c->in.len ? c->in.data : "nothing");
    }
    printf("{\"ready\":%d,\"seconds\":%.3f}\n", subscribed, (double)(now_ns() - start) / 1e9);
}

static void publish(int64_t intended) {
    set_payload(intended, next_number);
    due[next_number & (RING - 1)] = intended;
    ring[next_number++ & (RING - 1)] = 0;
    if (publisher.kind == POST) add_request(sender, &publisher.step[0]);
    else add_message(sender, &message);
}

/* With a rate, publishes by the clock, whatever came before; else as many as `window` lets. A publish is in flight
 * until all subscribers have got it. An echo is sent when the one before is back. Ends when nothing is under way. */
static void sample(double rate, double seconds, int64_t window) {
    memset(&latency, 0, sizeof latency);
    memset(&late, 0, sizeof late);
    first_number = next_number;
    completed = delivered = duplicates = stale = bytes = reads = answered = outstanding = 0;
    *said = 0;
    int64_t planned = rate > 0 ? (int64_t)(rate * seconds + 0.5) : 0, cpu = cpu_ns(), start = now_ns(), now = start;
    if (planned > RING || window > RING) fail(NULL, "more than %d publishes may be under way", RING);
    if (!echoing && !sender) fail(NULL, "there is nobody to publish");
    ends = start + (int64_t)(seconds * 1e9);
    last_delivery = start;
    for (int i = 0; echoing && i < wanted; i++) {
        conns[i].waiting = true;
        outstanding++;
        send_echo(&conns[i]);
    }
    for (;; now = now_ns()) {
        int64_t published = next_number - first_number, timeout = ends - now;
        if (!echoing && rate > 0) {
            int64_t next = start + (int64_t)((double)published * 1e9 / rate);
            for (; published < planned && next <= now && (!window || published - completed < window);
                 next = start + (int64_t)((double)++published * 1e9 / rate)) {
                record(&late, now_ns() - next);
                publish(next);
                flush_out(sender);
            }
            if (published < planned) timeout = next - now;
        } else if (!echoing && now < ends) {
            for (; published - completed < window; published++) publish(now_ns());
            if (sender->out.len) flush_out(sender);
        }
        if (now >= ends && published >= planned && (echoing ? !outstanding : completed == published)) break;
        if (now >= ends + GRACE) break;
        if (pump(timeout < 1000 ? (now >= ends ? SECOND / 100 : 1000) : timeout < SECOND / 10 ? timeout : SECOND / 10))
            _exit(0);   /* whoever asked has gone, or wants an end */
    }
    int64_t published = next_number - first_number, elapsed = (last_delivery > ends ? last_delivery : ends) - start;
    int64_t missing = (echoing ? published : published * hearers) - delivered;
    if (now >= ends + GRACE && missing) elapsed = now - start;
    printf("{\"published\":%lld,\"planned\":%lld,\"delivered\":%lld,\"missing\":%lld,\"duplicates\":%lld,\"stale\":%lld,",
           (long long)published, (long long)planned, (long long)delivered, (long long)missing, (long long)duplicates,
           (long long)stale);
    printf("\"answered\":%lld,\"bytes\":%lld,\"reads\":%lld,\"elapsed\":%lld,\"cpu\":%lld,", (long long)answered,
           (long long)bytes, (long long)reads, (long long)elapsed, (long long)(cpu_ns() - cpu));
    put_histogram("latency", &latency);
    putchar(',');
    put_histogram("late", &late);
    printf(",\"said\":");
    put_json(said, strlen(said));
    printf("}\n");
    for (int i = 0; i < wanted; i++) conns[i].waiting = false;
}

/* `histogram` on the command line: numbers from stdin through the histogram, for the tests. */
static int only_histogram(void) {
    long long value;
    while (scanf("%lld", &value) == 1) record(&latency, value);
    putchar('{');
    put_histogram("latency", &latency);
    printf("}\n");
    return 0;
}

/* One line of the job. `subscriber` and `publisher` say whose the next lines are. True: the job is complete. */
static bool job_line(char *line) {
    static Speech *s = &subscriber;
    static Step *step;
    char *w[6] = {0}, *rest = NULL;
    int count = 0;
    for (char *word = strtok_r(line, " \n", &rest); word && count < 6; word = strtok_r(NULL, " \n", &rest))
        w[count++] = word;
    if (!count) return false;
    if (!strcmp(w[0], "go")) return true;
    if (count < 2) fail(NULL, "job: nothing after %s", w[0]);
    if (!strcmp(w[0], "subscriber") || !strcmp(w[0], "publisher")) {
        s = *w[0] == 's' ? &subscriber : &publisher;
        s->kind = !strcmp(w[1], "sse") ? SSE : !strcmp(w[1], "poll") ? POLL : !strcmp(w[1], "post") ? POST : WS;
        if (s == &publisher) sender = calloc(1, sizeof *sender);
    } else if (!strcmp(w[0], "port")) port = atoi(w[1]);
    else if (!strcmp(w[0], "connections")) wanted = atoi(w[1]);
    else if (!strcmp(w[0], "opening")) at_once = atoi(w[1]);
    else if (!strcmp(w[0], "topics")) topics = atoi(w[1]);
    else if (!strcmp(w[0], "per_connection")) per_connection = atoi(w[1]);
    else if (!strcmp(w[0], "payload")) payload_len = atoi(w[1]);
    else if (!strcmp(w[0], "ordered")) ordered = *w[1] == '1';
    else if (!strcmp(w[0], "binary")) s->binary = *w[1] == '1';
    else if (!strcmp(w[0], "ready")) s->ready = from_hex(w[1]);
    else if (!strcmp(w[0], "message")) message = to_template(w[1]);
    else if (!strcmp(w[0], "acknowledged")) acknowledged = from_hex(w[1]);
    else if (!strcmp(w[0], "echo")) { echo = to_template(w[1]); echoing = true; }
    else if (!strcmp(w[0], "first") && s->firsts < FIRST) s->first[s->firsts++] = to_template(w[1]);
    else if (!strcmp(w[0], "step") && s->steps < STEPS && count == 3) {
        step = &s->step[s->steps++];
        step->head = to_template(w[1]);
        step->body = to_template(w[2]);
    } else if (!strcmp(w[0], "capture") && step && step->captures < CAPTURES && count == 5 && atoi(w[1]) < VARS)
        step->capture[step->captures++] =
            (Capture){.var = atoi(w[1]), .last = *w[2] == '1', .after = from_hex(w[3]), .until = from_hex(w[4])};
    else if (!strcmp(w[0], "answer") && s->answers < ANSWERS && count == 3) {
        s->heard[s->answers] = from_hex(w[1]);
        s->answer[s->answers++] = from_hex(w[2]);
    } else fail(NULL, "job: cannot do: %s (or too many of it)", w[0]);
    return false;
}

int main(int count, char **words) {
    char *line = NULL;
    size_t cap = 0;
    if (count == 2 && !strcmp(words[1], "histogram")) return only_histogram();
    setvbuf(stdin, NULL, _IONBF, 0);    /* epoll has to see what has not been read */
    prctl(PR_SET_TIMERSLACK, 1);
    do {
        if (getline(&line, &cap, stdin) <= 0) fail(NULL, "job: it has no end");
    } while (!job_line(line));
    if (wanted < 1 || payload_len <= MARK || !port) fail(NULL, "job: port, connections and a payload over %d bytes", MARK);
    if (topics < 1 || (per_connection != topics && (per_connection != 1 || wanted % topics)))
        fail(NULL, "job: each connection hears all topics, or one, and each of these as many connections");
    hearers = per_connection == topics ? wanted : wanted / topics;
    for (int i = 0; i < topics; i++) {
        char name[16];
        add(&all_topics, name, (size_t)snprintf(name, sizeof name, "%st%d", i ? "," : "", i));
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)wanted, sizeof *conns);
    buffer = malloc(MARK + BUFFER);
    payload = malloc((size_t)payload_len + 1);
    if (!conns || !buffer || !payload) fail(NULL, "out of memory");
    memset(payload, 'x', (size_t)payload_len);
    for (int i = 0; i < wanted; i++) conns[i] = (Conn){.number = i, .speech = &subscriber};
    if (sender) *sender = (Conn){.number = wanted, .speech = &publisher, .publisher = true};
    open_all();
    fflush(stdout);
    struct epoll_event commands = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
    for (;;) {      /* between samples heartbeats are answered, polls repeated */
        double rate = 0, seconds = 0;
        long long window = 0;
        if (!pump(-1)) continue;
        if (getline(&line, &cap, stdin) <= 0 || !strncmp(line, "quit", 4)) return 0;
        if (sscanf(line, "sample rate=%lf seconds=%lf window=%lld", &rate, &seconds, &window) != 3)
            fail(NULL, "no such command: %s", line);
        sample(rate, seconds, window);
        fflush(stdout);
    }
}
