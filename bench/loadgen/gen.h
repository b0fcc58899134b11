/* gen.h - the parts of the load generator and what they share.
 *
 * One thread, one epoll, closed loop: a connection sends its next window of operations when the
 * present one is answered, every answer is compared with what it must be, and the first wrong byte
 * ends the run as failed, so that a wrong server cannot look fast. It uses nothing of crew: it must
 * not share crew's mistakes.
 *
 *   net.c     sockets, the epoll loop, what the kernel did not take at once
 *   run.c     warm-up, the measured window, latencies, the server's CPU time
 *   tls.c     the same sockets with TLS, by OpenSSL
 *   ws.c      a WebSocket client: handshake, numbered messages out, messages in
 *   deflate.c its messages when permessage-deflate is agreed on
 *   http.c, file.c, echo.c, fanout.c, idle.c, udp.c   the modes */
#ifndef CREW_BENCH_GEN_H
#define CREW_BENCH_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* A numbered payload begins with 16 hex digits of sequence and 4 of the sender's index. */
#define HEAD_DIGITS 20
/* The longest header of an unmasked frame. */
#define HEADER_MAX 10
/* Sent by a server to a client: a control frame has at most 2 + 125 bytes. */
#define CONTROL_MAX 127

struct gen;
struct conn;

struct options {
	uint16_t port;
	unsigned connections;
	unsigned depth;   /* operations in flight on a connection, sent in one write */
	size_t payload;   /* of a WebSocket message */
	unsigned stalled; /* of the connections, how many never read */
	double rate;      /* messages a second where the pace is given; 0: closed loop */
	double warmup, seconds;
	uint64_t operations; /* when not 0: this many and no clock */
	const char *path, *expect;
	const char *expect_file; /* NULL: none; mode file */
	bool text;
	bool json;    /* the payload is as JSON is, which compresses as JSON does */
	bool deflate; /* permessage-deflate is offered, and must be agreed on and used */
	bool tls;
	bool wait; /* tell that all are connected, go on after a line on stdin */
	bool hold; /* after the result stay connected until stdin has a line or ends */
	int pids[64];
	unsigned pid_count;
};

/* ---- run.c: the measured window ------------------------------------------------------------ */

/* Latencies in buckets of 1/64 of their power of two: at most 1.6 % off. */
#define HISTOGRAM_BITS 6
#define HISTOGRAM_SIZE ((64 - HISTOGRAM_BITS) << HISTOGRAM_BITS)

enum phase {
	PHASE_WARMUP,
	PHASE_MEASURED,
	PHASE_DONE
};

struct run {
	enum phase phase;
	uint64_t from_ns, until_ns; /* of the measured window */
	uint64_t operations;        /* answered inside it */
	uint64_t issued;            /* ever sent */
	uint64_t last_ns;           /* when the last answer came, ever */
	uint64_t cpu_ns, own_cpu_ns;
	uint64_t histogram[HISTOGRAM_SIZE];
};

uint64_t now_ns(void);
void run_start(struct run *r, const struct options *o);
/* Enter and leave the measured window as the clock says. */
void run_tick(struct run *r, const struct options *o, uint64_t now);
/* How many of `want` operations may still be sent. */
unsigned run_take(struct run *r, const struct options *o, unsigned want);
void run_answered(struct run *r, const struct options *o, uint64_t sent_ns, uint64_t now);
/* Print what was measured as members of a JSON object, without the braces. */
void run_print(const struct run *r, const struct options *o);

/* ---- net.c --------------------------------------------------------------------------------- */

struct conn {
	int fd;
	void *tls;    /* an SSL; NULL: plain */
	bool shaking; /* its handshake is not done */
	unsigned index;
	unsigned waiting; /* operations sent and not yet answered */
	uint64_t sent_ns; /* when the present window left */
	uint64_t next_in, next_out;
	uint64_t answered; /* UDP: of the window, a bit each */
	/* Bytes that the kernel did not take, from `rest_at` on: watched for writability exactly
	 * while there are some. */
	char *rest;
	size_t rest_len, rest_at;
	/* HTTP: the beginning of a response whose end has not come; mode file: its head; deflate:
	 * the beginning of a frame. */
	char *stash;
	size_t stash_len;
	/* WebSocket: how far into the present frame, and its first bytes. */
	size_t at;
	size_t control; /* length of the control frame we are inside of; 0: a data frame */
	uint8_t start[CONTROL_MAX + 1];
};

struct mode {
	const char *name;
	bool websocket;
	bool datagrams; /* over UDP: each receive is one of them */
	bool raw;       /* numbered messages as on a WebSocket, with nothing around them */
	bool fresh;     /* dials by itself, anew for each operation */
	void (*start)(struct gen *g);
	void (*on_bytes)(struct gen *g, struct conn *c, const char *bytes, size_t len);
	void (*on_ready)(struct gen *g, struct conn *c); /* fresh: connected, TLS stands */
	void (*on_turn)(struct gen *g);                  /* may be NULL */
	bool (*settled)(
		struct gen *g); /* nothing more to wait for once the window is over; or NULL */
	void (*print)(struct gen *g); /* more members of the result; or NULL */
};

struct gen {
	struct options o;
	struct run run;
	const struct mode *mode;
	struct conn *conns;
	int epoll_fd;
	uint64_t now; /* read after each receive */
	char *in;     /* IN_SIZE bytes */
	bool told;    /* stdin had a line, or has ended */
	/* WebSocket: frames ready to be numbered and sent, and what a received one must be. */
	uint8_t *frames; /* `depth` of them, masked */
	size_t frame_len, mask_len;
	uint8_t header[HEADER_MAX];
	size_t header_len;
	uint8_t *pattern;
};

#define IN_SIZE (256u << 10)

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *must_alloc(size_t size);
/* A connected UDP socket. */
int dial_udp(uint16_t port);
/* A blocking connection; no call on it takes longer than ten seconds. */
int dial(uint16_t port);
/* In mode fresh: end what there is, dial, and call on_ready when it stands. */
void redial(struct gen *g, struct conn *c);
/* As recv(2) and send(2), through TLS where the connection has it. */
ssize_t receive_some(struct conn *c, void *room, size_t size, int flags);
ssize_t send_some(struct conn *c, const void *bytes, size_t len, int flags);
void write_all(struct conn *c, const void *bytes, size_t len);
void send_bytes(struct gen *g, struct conn *c, const void *bytes, size_t len);
void watch(struct gen *g, struct conn *c);
/* Turn until the window is over and the mode has settled. */
void loop_run(struct gen *g);
/* Turn until stdin has a line or ends. */
void loop_hold(struct gen *g);

/* ---- tls.c --------------------------------------------------------------------------------- */

void tls_prepare(void);
/* A whole handshake, on a blocking socket. */
void tls_connect(struct conn *c);
/* One on a non-blocking socket, as far as it goes: is it done? */
void tls_begin(struct conn *c);
bool tls_shake(struct conn *c);
/* Negative with errno EAGAIN as recv(2) and send(2); whatever else is wrong fails. */
ssize_t tls_receive(struct conn *c, void *room, size_t size, bool peek);
ssize_t tls_send(struct conn *c, const void *bytes, size_t len);
void tls_end(struct conn *c);

/* ---- ws.c ---------------------------------------------------------------------------------- */

typedef void ws_message_fn(struct gen *g, struct conn *c, uint64_t sequence, unsigned sender);

void ws_prepare(struct gen *g);
void ws_handshake(struct conn *c, const struct options *o);
/* Send `count` messages numbered from c->next_out on, in one write. */
void ws_send(struct gen *g, struct conn *c, unsigned count);
/* Take what came in apart, check it, and call `fn` for each message. */
void ws_receive(struct gen *g, struct conn *c, const char *bytes, size_t len, ws_message_fn *fn);

/* What deflate.c needs of it. */
#define MASK_LEN 4
extern const uint8_t ws_mask[MASK_LEN];
size_t ws_put_header(uint8_t *at, uint8_t first, size_t len);
void ws_put_number(uint8_t *at, uint64_t sequence, unsigned sender);
uint64_t ws_read_number(const struct conn *c, const uint8_t *at, unsigned *ret_sender);
/* A whole control frame of the server's. */
void ws_take_control(struct gen *g, struct conn *c, const uint8_t *frame);

/* ---- deflate.c ----------------------------------------------------------------------------- */

void deflate_prepare(struct gen *g);
void deflate_send(struct gen *g, struct conn *c, unsigned count);
void deflate_receive(
	struct gen *g, struct conn *c, const uint8_t *bytes, size_t len, ws_message_fn *fn);

/* ---- the modes ----------------------------------------------------------------------------- */

extern const struct mode mode_http, mode_handshake, mode_file, mode_ws, mode_tcp, mode_fanout,
	mode_stalled, mode_idle, mode_udp;

#endif
