// An upstream that is never the bottleneck: one thread, epoll, keep-alive. It is OpenAI-compatible and, under the
// paths of Bedrock's ConverseStream, speaks that language in its binary frames.
//
//   mock PORT PACE_US CHUNKS
//
// A POST is answered with one fixed JSON body or, where its body says "stream":true, with CHUNKS events, one
// every PACE_US microseconds (0: as fast as they are taken), then one with the usage, then [DONE]; so is any to
// a path that ends in /converse-stream. Each event is one HTTP chunk and one send(), as providers do it. The text of an event is the time it was written,
// " t=NANOSECONDS" of CLOCK_MONOTONIC, so that the load generator can tell what it took on its way.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES = 1048576, EVENT_BYTES = 1024, EVENTS_AT_ONCE = 512 };

typedef struct Connection {
  int fd; // -1: closed, and freed as soon as it is due no more
  char *request;
  size_t request_length;
  bool streaming;
  bool frames; // ConverseStream's events
  int next_event;
  char unsent[2 * EVENT_BYTES]; // what the kernel did not take of the last send
  size_t unsent_from, unsent_length;
  bool due_again; // in the queue below
  uint64_t due;
  struct Connection *behind;
} Connection;

static int poller, chunks;
static uint64_t pace;
static char answer[4096];
static size_t answer_length;
// Every stream has the same pace, so that the queue is always in the order of time.
static Connection *queue_head, *queue_tail;

static const char ENVELOPE[] = "\"id\":\"chatcmpl-BenchMock0123456789abcdef\",\"object\":\"chat.completion%s\","
                               "\"created\":1763700000,\"model\":\"gpt-4o-mini\","
                               "\"system_fingerprint\":\"fp_0123456789\"";

static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\nx-request-id: req_0123456789abcdef\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";

static const char FRAMES_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
                                  "x-amzn-RequestId: 01234567-89ab-cdef-0123-456789abcdef\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";

static const char CONTENT[] =
    "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly quick "
    "daft zebras jump; sphinx of black quartz, judge my vow. The five boxing wizards jump quickly, and a "
    "wizard's job is to vex chumps quickly in fog. Bright vixens jump; dozy fowl quack. Waltz, bad nymph, for "
    "quick jigs vex.";

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void prepare_answer(void) {
  char body[3072], envelope[512];
  snprintf(envelope, sizeof envelope, ENVELOPE, "");
  int length = snprintf(
      body, sizeof body,
      "{%s,\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,"
      "\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":120,"
      "\"completion_tokens\":84,\"total_tokens\":204,\"prompt_tokens_details\":{\"cached_tokens\":0,"
      "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
      "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\"}",
      envelope, CONTENT);
  answer_length = snprintf(answer, sizeof answer,
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "x-request-id: req_0123456789abcdef\r\nContent-Length: %d\r\n\r\n%s",
                           length, body);
}

static uint32_t crc_table[256];

static void prepare_crc(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    crc_table[byte] = crc;
  }
}

static uint32_t crc32(const char *bytes, size_t length) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) crc = crc >> 8 ^ crc_table[(crc ^ (uint8_t)bytes[i]) & 255];
  return ~crc;
}

static char *put32(char *out, uint32_t number) {
  number = htonl(number);
  return (char *)memcpy(out, &number, 4) + 4;
}

static char *put_header(char *out, const char *name, const char *value) {
  size_t named = strlen(name), length = strlen(value);
  *out++ = named;
  out = (char *)memcpy(out, name, named) + named;
  *out++ = 7; // a string
  *out++ = 0;
  *out++ = length;
  return (char *)memcpy(out, value, length) + length;
}

// Writes one frame of an event stream; returns its length.
static int put_frame(char *frame, const char *kind, const char *payload) {
  char *headers = frame + 12, *out = headers;
  out = put_header(out, ":event-type", kind);
  out = put_header(out, ":content-type", "application/json");
  out = put_header(out, ":message-type", "event");
  size_t block = out - headers, length = strlen(payload);
  out = (char *)memcpy(out, payload, length) + length;
  put32(frame, 16 + block + length);
  put32(frame + 4, block);
  put32(frame + 8, crc32(frame, 8));
  out = put32(out, crc32(frame, out - frame));
  return out - frame;
}

// Converse's events: the text, and at its end the three that follow it.
static int write_frames(int index, char *out) {
  char payload[256];
  int length = 0;
  if (index == 0) length += put_frame(out, "messageStart", "{\"p\":\"abcdef\",\"role\":\"assistant\"}");
  if (index < chunks) {
    sprintf(payload, "{\"contentBlockIndex\":0,\"delta\":{\"text\":\" t=%020llu\"},\"p\":\"abcdefghijkl\"}",
            (unsigned long long)now());
    return length + put_frame(out + length, "contentBlockDelta", payload);
  }
  if (index > chunks) return 0;
  length += put_frame(out + length, "contentBlockStop", "{\"contentBlockIndex\":0,\"p\":\"abcd\"}");
  length += put_frame(out + length, "messageStop", "{\"p\":\"abcd\",\"stopReason\":\"end_turn\"}");
  sprintf(payload,
          "{\"metrics\":{\"latencyMs\":731},\"p\":\"abcdefgh\",\"usage\":{\"inputTokens\":120,"
          "\"outputTokens\":%d,\"totalTokens\":%d}}",
          chunks, chunks + 120);
  return length + put_frame(out + length, "metadata", payload);
}

// OpenAI's events: the text, then the usage, then [DONE].
static int write_data(int index, char *event) {
  char envelope[512];
  snprintf(envelope, sizeof envelope, ENVELOPE, ".chunk");
  if (index < chunks)
    return snprintf(event, EVENT_BYTES,
                    "data: {%s,\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" t=%020llu\"},"
                    "\"finish_reason\":%s}]}\n\n",
                    envelope, index == 0 ? "\"role\":\"assistant\"," : "", (unsigned long long)now(),
                    index == chunks - 1 ? "\"stop\"" : "null");
  if (index == chunks)
    return snprintf(event, EVENT_BYTES,
                    "data: {%s,\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":%d,"
                    "\"total_tokens\":%d}}\n\n",
                    envelope, chunks, chunks + 120);
  return snprintf(event, EVENT_BYTES, "data: [DONE]\n\n");
}

// Writes event `index` as one HTTP chunk, with the end of the body after the last; returns its length.
static int write_event(int index, bool frames, char *out) {
  char event[EVENT_BYTES];
  int length = frames ? write_frames(index, event) : write_data(index, event), written = 0;
  if (length) {
    written = sprintf(out, "%x\r\n", length);
    memcpy(out + written, event, length);
    written += length;
    written += sprintf(out + written, "\r\n");
  }
  if (index > chunks) written += sprintf(out + written, "0\r\n\r\n");
  return written;
}

static void watch(Connection *c, int operation, uint32_t what) {
  struct epoll_event event = {.events = what, .data.ptr = c};
  epoll_ctl(poller, operation, c->fd, &event);
}

static void close_connection(Connection *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  if (c->due_again) return;
  free(c->request);
  free(c);
}

// False: the client is gone. What the kernel does not take is kept and sent when it can be.
static bool send_bytes(Connection *c, const char *bytes, size_t length) {
  ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  if (sent < 0) sent = 0;
  if ((size_t)sent == length) return true;
  c->unsent_from = 0;
  c->unsent_length = length - sent;
  memcpy(c->unsent, bytes + sent, c->unsent_length);
  watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  return true;
}

static bool send_event(Connection *c) {
  char event[2 * EVENT_BYTES];
  int length = write_event(c->next_event++, c->frames, event);
  c->streaming = c->next_event <= chunks + 1;
  return send_bytes(c, event, length);
}

static void enqueue(Connection *c, uint64_t due) {
  c->due = due;
  c->due_again = true;
  c->behind = NULL;
  if (queue_tail) queue_tail->behind = c;
  else queue_head = c;
  queue_tail = c;
}

static bool start_stream(Connection *c) {
  // The head goes with the first event: a client would wait for that one anyway.
  char start[3 * EVENT_BYTES];
  int head = sprintf(start, "%s", c->frames ? FRAMES_HEAD : STREAM_HEAD);
  int event = write_event(0, c->frames, start + head);
  c->streaming = true;
  c->next_event = 1;
  if (!send_bytes(c, start, head + event)) return false;
  if (pace) enqueue(c, now() + pace);
  return true;
}

// The length of the first request in the buffer, 0 while it is not whole; sets `streams`.
static size_t whole_request(Connection *c, bool *streams) {
  c->request[c->request_length] = 0;
  char *end = strstr(c->request, "\r\n\r\n");
  if (!end) return 0;
  size_t head = end - c->request + 4, body = 0;
  bool chunked = false;
  for (char *line = strstr(c->request, "\r\n") + 2; line < end + 2; line = strstr(line, "\r\n") + 2) {
    if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
    if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = true;
  }
  if (chunked) {
    char *last = strstr(c->request + head, "0\r\n\r\n");
    if (!last) return 0;
    body = last + 5 - (c->request + head);
  }
  if (c->request_length < head + body) return 0;
  char *line = strstr(c->request, " HTTP/1.1\r\n"), *way = strstr(c->request, "/converse-stream HTTP/1.1");
  c->frames = way && way < line;
  *streams = c->frames || memmem(c->request + head, body, "\"stream\":true", 13) != NULL;
  return head + body;
}

// Answers what can be answered now: requests that are whole, and unpaced streams as far as the client reads.
static bool proceed(Connection *c) {
  while (!c->unsent_length) {
    if (c->streaming && pace) return true;
    if (c->streaming) {
      if (!send_event(c)) return false;
      continue;
    }
    bool streams = false;
    size_t length = whole_request(c, &streams);
    if (!length) return true;
    memmove(c->request, c->request + length, c->request_length - length);
    c->request_length -= length;
    if (!(streams ? start_stream(c) : send_bytes(c, answer, answer_length))) return false;
  }
  return true;
}

static bool readable(Connection *c) {
  ssize_t got = recv(c->fd, c->request + c->request_length, REQUEST_BYTES - 1 - c->request_length, 0);
  if (got < 0) return errno == EAGAIN;
  c->request_length += got;
  return got > 0 && proceed(c);
}

static bool writable(Connection *c) {
  ssize_t sent = send(c->fd, c->unsent + c->unsent_from, c->unsent_length, MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN;
  c->unsent_from += sent;
  c->unsent_length -= sent;
  if (c->unsent_length) return true;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
  return proceed(c);
}

static void serve_due(void) {
  uint64_t time = now();
  while (queue_head && queue_head->due <= time) {
    Connection *c = queue_head;
    queue_head = c->behind;
    if (!queue_head) queue_tail = NULL;
    c->due_again = false;
    bool alive = c->fd >= 0;
    // A client that does not read misses its turn, not its event.
    if (alive && !c->unsent_length) alive = send_event(c) && (c->streaming || proceed(c));
    if (!alive) close_connection(c);
    else if (c->streaming && !c->due_again) enqueue(c, c->due + pace);
  }
}

static void accept_all(int listener) {
  int one = 1, fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->request = malloc(REQUEST_BYTES);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static int wait_for_events(struct epoll_event *events) {
  if (!queue_head) return epoll_wait(poller, events, EVENTS_AT_ONCE, -1);
  uint64_t time = now(), wait = queue_head->due > time ? queue_head->due - time : 0;
  struct timespec timeout = {wait / 1000000000, wait % 1000000000};
  return epoll_pwait2(poller, events, EVENTS_AT_ONCE, &timeout, NULL);
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: mock PORT PACE_US CHUNKS\n");
    return 2;
  }
  pace = strtoull(arguments[2], NULL, 10) * 1000;
  chunks = atoi(arguments[3]);
  prepare_answer();
  prepare_crc();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(atoi(arguments[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
    perror("mock");
    return 1;
  }
  poller = epoll_create1(0);
  struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_AT_ONCE];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening);
  for (;;) {
    int ready = wait_for_events(events);
    for (int i = 0; i < ready; i++) {
      Connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      bool alive = true;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) alive = readable(c);
      if (alive && events[i].events & EPOLLOUT && c->unsent_length) alive = writable(c);
      if (!alive) close_connection(c);
    }
    serve_due();
  }
}
