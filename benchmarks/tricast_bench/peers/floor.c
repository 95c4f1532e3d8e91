/* The floor: what fan-out costs where a server does nothing but one write() for each delivery, on one thread.
 *
 * /ws and /sse subscribe, /publish is the WebSocket whose messages go to all subscribers, /echo sends each message
 * back. Nothing is checked, kept or limited; a subscriber that does not take a whole write is cut. The frame for a
 * message is made once, and the time of day, a cursor or a topic is not in it: it carries the payload alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST = 64 * 1024, EVENTS = 256, FILES = 20000 };

typedef struct {
    enum { OPENING, SUBSCRIBER_WS, SUBSCRIBER_SSE, PUBLISHER, ECHO } role;
    size_t len, cap;    /* what has come and is not taken yet */
    unsigned char *in;
} Conn;

static Conn conns[FILES];           /* by file descriptor */
static int subscribers[2][FILES], count[2];
static int epoll;

/* ---- SHA-1 (RFC 3174) of less than 120 bytes, and base64, for the handshake alone */

static uint32_t rotated(uint32_t x, int by) { return x << by | x >> (32 - by); }

static void sha1(const char *text, size_t len, unsigned char out[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
    unsigned char data[128] = {0};
    size_t size = len + 9 > 64 ? 128 : 64;
    memcpy(data, text, len);
    data[len] = 0x80;
    data[size - 2] = (unsigned char)(len * 8 >> 8);
    data[size - 1] = (unsigned char)(len * 8);
    for (unsigned char *block = data; block < data + size; block += 64) {
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
                   block[4 * i + 3];
        for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t next = rotated(a, 5) + f + e + k + w[i];
            e = d; d = c; c = rotated(b, 30); b = a; a = next;
        }
        h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void accept_of(const char *key, char out[29]) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char hash[21] = {0};
    char text[64];
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, strlen(text), hash);
    for (int i = 0; i < 28; i++) {
        int bit = 6 * i, byte = bit / 8;
        out[i] = set[(hash[byte] << 8 | hash[byte + (byte < 20)]) >> (10 - bit % 8) & 63];
    }
    memcpy(out + 27, "=", 2);
}

/* ---- connections */

static void drop(int fd) {
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < count[kind]; i++)
            if (subscribers[kind][i] == fd) subscribers[kind][i] = subscribers[kind][--count[kind]];
    free(conns[fd].in);
    conns[fd] = (Conn){0};
    close(fd);
}

static void answer(int fd, const void *data, size_t len) {
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) shutdown(fd, SHUT_RDWR);
}

static void open_role(int fd, char *request) {
    Conn *c = &conns[fd];
    if (!strncmp(request, "GET /sse", 8)) {
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n";
        c->role = SUBSCRIBER_SSE;
        subscribers[1][count[1]++] = fd;
        return answer(fd, head, sizeof head - 1);
    }
    const char *key = strcasestr(request, "\r\nSec-WebSocket-Key: ");
    c->role = !strncmp(request, "GET /ws", 7) ? SUBSCRIBER_WS : !strncmp(request, "GET /echo", 9) ? ECHO : PUBLISHER;
    if (!key) return (void)shutdown(fd, SHUT_RDWR);
    char head[200], accepted[29];
    accept_of(key + 21, accepted);
    int len = snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accepted);
    if (c->role == SUBSCRIBER_WS) subscribers[0][count[0]++] = fd;
    answer(fd, head, (size_t)len);
}

/* A frame of a server around what stands at text; there are 10 bytes of room before it. Where it begins. */
static unsigned char *framed(unsigned char *text, size_t *len, int opcode) {
    unsigned char *head = text - (*len < 126 ? 2 : 4);
    head[0] = (unsigned char)(0x80 | opcode);
    head[1] = (unsigned char)(*len < 126 ? *len : 126);
    if (*len >= 126) {
        head[2] = (unsigned char)(*len >> 8);
        head[3] = (unsigned char)*len;
    }
    *len += (size_t)(text - head);
    return head;
}

static void fan_out(const unsigned char *text, size_t len) {
    static unsigned char frame[LARGEST + 64];
    static char event[LARGEST + 64];
    size_t size = len;
    memcpy(frame + 10, text, len);
    unsigned char *begin = framed(frame + 10, &size, 1);
    for (int i = 0; i < count[0]; i++) answer(subscribers[0][i], begin, size);
    if (!count[1]) return;
    int head = sprintf(event, "%zx\r\ndata: ", len + 8);
    memcpy(event + head, text, len);
    memcpy(event + head + len, "\n\n\r\n", 4);
    for (int i = 0; i < count[1]; i++) answer(subscribers[1][i], event, (size_t)head + len + 4);
}

/* Takes one whole frame from what has come: how long it was, 0 if it is not all there, -1 if it ends the connection. */
static ssize_t take_frame(int fd) {
    Conn *c = &conns[fd];
    unsigned char *p = c->in;
    if (c->len < 2) return 0;
    size_t len = p[1] & 127, at = len == 126 ? 4 : 2;
    if (c->len < at) return 0;
    if (len == 126) len = (size_t)p[2] << 8 | p[3];
    if (!(p[1] & 128) || (p[1] & 127) == 127 || (p[0] & 15) == 8) return -1;
    if (c->len < at + 4 + len) return 0;
    unsigned char *key = p + at, *text = key + 4;
    for (size_t i = 0; i < len; i++) text[i] ^= key[i & 3];
    if ((p[0] & 15) < 8 && c->role == PUBLISHER) fan_out(text, len);
    if ((p[0] & 15) < 8 && c->role == ECHO) {
        size_t size = len;      /* the key leaves room for the head: a frame to here is never shorter */
        unsigned char *begin = framed(text, &size, 1);
        answer(fd, begin, size);
    }
    return (ssize_t)(at + 4 + len);
}

static void readable(int fd) {
    Conn *c = &conns[fd];
    if (!c->in) c->in = malloc(c->cap = c->role == OPENING ? 4096 : LARGEST);
    ssize_t got = c->in ? read(fd, c->in + c->len, c->cap - c->len - 1) : -1;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(fd);
    c->len += (size_t)got;
    size_t taken = 0, all = c->len;
    if (c->role == OPENING) {
        c->in[c->len] = 0;
        char *end = strstr((char *)c->in, "\r\n\r\n");
        if (!end) return c->len + 1 < c->cap ? (void)0 : drop(fd);
        open_role(fd, (char *)c->in);
        free(c->in);    /* nothing comes before the answer has gone; an idle connection holds no memory */
        c->in = NULL;
        c->len = 0;
        return;
    }
    unsigned char *begin = c->in;
    for (ssize_t size; (size = take_frame(fd)) != 0; c->in += size, c->len -= (size_t)size) {
        if (size < 0) {
            c->in = begin;
            return drop(fd);
        }
        taken += (size_t)size;
    }
    c->in = begin;
    memmove(c->in, c->in + taken, all - taken);
    if (c->len + 1 >= c->cap) drop(fd);
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "8082"))};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024)) return perror("listen"), 1;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                readable(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) continue;
            if (fd >= FILES) { close(fd); continue; }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            e = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
        }
    }
}
