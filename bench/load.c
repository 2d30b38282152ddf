// A load generator that ends every request it began, so that a ledger can be compared with it to the unit.
//
//   load PORT CONNECTIONS SECONDS REQUEST_FILE CHUNKS
//
// Each connection sends the bytes of REQUEST_FILE, reads the answer to its end and sends them again, for
// SECONDS; then what is under way is read to its end. The connections start one after the other during the
// first fifth of the time. SECONDS 0: one request on each connection, started within a second; when all
// of them have had their first byte, the line "open" is written.
//
// An answer is good if its status is 200, its body is whole and, with CHUNKS > 0, it is a stream of exactly so
// many events with a time stamp (see mock.c) that ends with [DONE]. What is told at the end, as one line of
// JSON: good answers, errors, time stamps seen, the time from a request to the first byte of the answer's body,
// and the time from a stamp to its arrival here, in microseconds.
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

enum { HEAD_BYTES = 8192, READ_BYTES = 262144, TAIL_BYTES = 32, EVENTS_AT_ONCE = 512, SAMPLES = 4000000 };
enum { STAMP_BYTES = 22 }; // t= and 20 digits
static const uint64_t SECOND = 1000000000ull, PATIENCE = 10 * 1000000000ull;

typedef struct {
  int fd;
  bool busy, chunked, in_body, first_byte, done;
  long left; // of a body with a length
  int stamps;
  uint64_t started;
  char head[HEAD_BYTES];
  size_t head_length;
  char tail[TAIL_BYTES]; // of a stream: what may be the beginning of a stamp or of the end
  size_t tail_length;
} Connection;

typedef struct {
  uint32_t *values; // microseconds
  size_t count;
} Samples;

static int poller, port, expected_stamps;
static char request[65536];
static size_t request_length;
static unsigned long good, errors, stamps_seen;
static int busy, opened;
static uint64_t end_of_start, end_of_load;
static Samples first_bytes, delays;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static void note(Samples *samples, uint64_t nanoseconds) {
  if (samples->count < SAMPLES) samples->values[samples->count++] = nanoseconds / 1000;
}

static void fail(Connection *c, const char *why) {
  if (errors++ < 3) fprintf(stderr, "load: %s: %.*s\n", why, 300, c->head);
}

static void open_connection(Connection *c) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&address, sizeof address)) {
    perror("load: connect");
    exit(1);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void start(Connection *c) {
  if (c->fd < 0) open_connection(c);
  c->chunked = c->in_body = c->first_byte = c->done = false;
  c->left = 0;
  c->stamps = 0;
  c->head_length = c->tail_length = 0;
  c->busy = true;
  busy++;
  c->started = now();
  if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) {
    perror("load: send");
    exit(1);
  }
}

static void finish(Connection *c) {
  c->busy = false;
  busy--;
  if (now() < end_of_load) start(c);
}

static void drop(Connection *c) {
  close(c->fd);
  c->fd = -1;
  if (!c->busy) return;
  fail(c, "closed before the end of an answer");
  finish(c);
}

// Takes the head's bytes off the front of what was read; returns how many they were, -1 if the answer is bad.
static ssize_t read_head(Connection *c, const char *bytes, size_t length) {
  size_t before = c->head_length, room = HEAD_BYTES - 1 - before, taken = length < room ? length : room;
  memcpy(c->head + before, bytes, taken);
  c->head_length += taken;
  c->head[c->head_length] = 0;
  char *end = strstr(c->head, "\r\n\r\n");
  if (!end) return taken == length ? (ssize_t)length : -1;
  c->in_body = true;
  for (char *line = strstr(c->head, "\r\n") + 2; line < end + 2; line = strstr(line, "\r\n") + 2) {
    if (!strncasecmp(line, "content-length:", 15)) c->left = atol(line + 15);
    if (!strncasecmp(line, "transfer-encoding: chunked", 26)) c->chunked = true;
  }
  if (memcmp(c->head, "HTTP/1.1 200", 12) || c->chunked != (expected_stamps > 0)) return -1;
  return end + 4 - c->head - before;
}

// Counts the stamps of a stream; true at the end of its body. There is room for the tail before `bytes`.
static bool read_stream(Connection *c, char *bytes, size_t length, uint64_t time) {
  char *from = bytes - c->tail_length, *end = bytes + length, *stamp;
  memcpy(from, c->tail, c->tail_length);
  char *rest = from;
  while ((stamp = memmem(rest, end - rest, "t=0", 3)) && end - stamp >= STAMP_BYTES) {
    if (time > end_of_start) note(&delays, time - strtoull(stamp + 2, NULL, 10));
    c->stamps++;
    rest = stamp + STAMP_BYTES;
  }
  if (memmem(from, end - from, "[DONE]", 6)) c->done = true;
  bool whole = c->done && end - from >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5);
  if (end - rest > TAIL_BYTES) rest = end - TAIL_BYTES;
  c->tail_length = end - rest;
  memcpy(c->tail, rest, c->tail_length);
  return whole;
}

static void readable(Connection *c) {
  static char buffer[TAIL_BYTES + READ_BYTES];
  char *bytes = buffer + TAIL_BYTES;
  ssize_t length = recv(c->fd, bytes, READ_BYTES, 0);
  uint64_t time = now();
  if (length <= 0 || !c->busy) {
    drop(c);
    return;
  }
  if (!c->in_body) {
    ssize_t taken = read_head(c, bytes, length);
    if (taken < 0) {
      fail(c, "not the answer that was expected");
      c->busy = false;
      busy--;
      drop(c);
      return;
    }
    bytes += taken;
    length -= taken;
    if (!length) return;
  }
  if (!c->first_byte) {
    c->first_byte = true;
    opened++;
    if (time > end_of_start) note(&first_bytes, time - c->started);
  }
  bool whole = c->chunked ? read_stream(c, bytes, length, time) : (c->left -= length) <= 0;
  if (!whole) return;
  stamps_seen += c->stamps;
  if (c->stamps == expected_stamps && c->left >= 0) good++;
  else fail(c, "an answer of a wrong length");
  finish(c);
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void tell(const char *name, Samples *samples) {
  qsort(samples->values, samples->count, sizeof *samples->values, ascending);
  if (samples->count)
    printf(",\"%s\":{\"count\":%zu,\"p50\":%u,\"p99\":%u}", name, samples->count,
           samples->values[samples->count / 2], samples->values[samples->count * 99 / 100]);
  else printf(",\"%s\":null", name);
}

static void read_request(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    exit(1);
  }
  request_length = fread(request, 1, sizeof request, file);
  fclose(file);
}

int main(int count, char **arguments) {
  if (count != 6) {
    fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS REQUEST_FILE CHUNKS\n");
    return 2;
  }
  port = atoi(arguments[1]);
  int connections = atoi(arguments[2]), started = 0;
  double seconds = atof(arguments[3]);
  bool once = seconds == 0, told = false;
  read_request(arguments[4]);
  expected_stamps = atoi(arguments[5]);
  first_bytes.values = malloc(SAMPLES * sizeof(uint32_t));
  delays.values = malloc(SAMPLES * sizeof(uint32_t));
  poller = epoll_create1(0);
  Connection *all = calloc(connections, sizeof *all);
  uint64_t begin = now(), start_span = once ? SECOND : seconds * SECOND / 5;
  end_of_load = once ? 0 : begin + seconds * SECOND;
  // Warm enough to be counted; with one request each there is nothing that could be left out.
  end_of_start = once ? 0 : begin + start_span;
  struct epoll_event events[EVENTS_AT_ONCE];
  uint64_t give_up = begin + start_span + seconds * SECOND + PATIENCE;
  while (started < connections || busy) {
    uint64_t time = now();
    while (started < connections && time >= begin + started * start_span / connections) {
      all[started].fd = -1;
      start(&all[started++]);
    }
    if (time > give_up) break;
    int ready = epoll_wait(poller, events, EVENTS_AT_ONCE, started < connections ? 1 : 100);
    for (int i = 0; i < ready; i++) readable(events[i].data.ptr);
    if (once && !told && opened == connections) {
      told = true;
      puts("open");
      fflush(stdout);
    }
  }
  printf("{\"good\":%lu,\"errors\":%lu,\"stamps\":%lu,\"seconds\":%.3f", good, errors + busy, stamps_seen,
         (now() - begin) / 1e9);
  tell("first_byte", &first_bytes);
  tell("delay", &delays);
  puts("}");
  return errors || busy ? 1 : 0;
}
