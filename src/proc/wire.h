/* wire.h - packets between processes of one program: master and worker, command and master.
 *
 * One packet of a Unix SOCK_SEQPACKET socket is one message: a header (magic, version, type,
 * length), a payload, and descriptors beside it. What does not have exactly that shape is -EPROTO,
 * and its descriptors are closed. Nothing here blocks, and nothing here knows what messages mean.
 */
#ifndef CREW_PROC_WIRE_H
#define CREW_PROC_WIRE_H

#include "proc/order.h"
#include "service/tls.h"

#define CREW__WIRE_MAGIC   0x77657263u /* "crew" */
#define CREW__WIRE_VERSION 1u

enum {
	CREW__WIRE_MAX = 4096,    /* the longest payload */
	CREW__WIRE_MAX_FDS = 250, /* the kernel takes 253 */
};

/* All messages of all conversations, so that a packet in the wrong one is recognised. */
enum crew__message_type {
	/* master to worker */
	CREW__MSG_HELLO = 1,  /* struct crew__hello; settings, segment, log, directory, listeners */
	CREW__MSG_STOP,       /* struct crew__stop_order */
	CREW__MSG_RELOADING,  /* a reload replaces this worker */
	CREW__MSG_REOPEN_LOG, /* the new log; access logs are to be opened anew as well */
	CREW__MSG_LIFE,       /* struct crew__life_note; its segment, read-only */
	CREW__MSG_LIFE_GONE,  /* struct crew__life_note */
	CREW__MSG_ADOPT,      /* struct crew__absence; the listeners of a sibling that is away */
	CREW__MSG_DISOWN,     /* struct crew__absence: that sibling is back */
	CREW__MSG_KICK_THESE, /* struct crew__kick_order */
	CREW__MSG_SETTING,    /* "SECTION.KEY=VALUE" is in force now */
	CREW__MSG_TLS,        /* struct crew__tls_order; new certificates */
	CREW__MSG_RECYCLING,  /* a fresh one replaces this worker */
	CREW__MSG_GIVE = 24,  /* a worker to hand connections over to (passing.h) */
	CREW__MSG_TAKE,       /* one that hands over its own */
	/* worker to master */
	CREW__MSG_READY = 32,
	CREW__MSG_FAILED,   /* a sentence */
	CREW__MSG_LEAVING,  /* it stops by its own wish */
	CREW__MSG_STOPPED,  /* it has stopped and will exit */
	CREW__MSG_TLS_DONE, /* struct crew__tls_done */
	/* command to master */
	CREW__MSG_ATTACH = 64,
	CREW__MSG_STOP_ALL, /* struct crew__command */
	CREW__MSG_RELOAD,   /* struct crew__command */
	CREW__MSG_KICK,     /* uint64_t ids of connections, 1 to CREW__KICK_MOST of them */
	CREW__MSG_SET,      /* "SECTION.KEY=VALUE" */
	CREW__MSG_SOCKETS,  /* a restart wants the listening sockets; a STOP_ALL of the same
			     * conversation leaves them, and their files, to it */
	/* master to command */
	CREW__MSG_ATTACHED = 96, /* uint32_t: how many lives follow; the directory */
	CREW__MSG_LIVES,         /* uint32_t life for each descriptor */
	CREW__MSG_ACCEPTED,      /* struct crew__accepted */
	CREW__MSG_REFUSED,       /* a sentence */
	CREW__MSG_DONE,          /* int32_t exit status, then a sentence */
	CREW__MSG_HANDED_ON,     /* struct crew__handed_on */
	CREW__MSG_SOCKETS_ARE,   /* struct crew__sockets_note, and as many descriptors */
	/* worker to worker (passing.h) */
	CREW__MSG_PASS_READY = 128, /* struct crew__pass_ready: connections may come */
	CREW__MSG_PASS,             /* struct crew__pass and what it is; the connection */
	CREW__MSG_PASS_TAKEN,       /* struct crew__passed */
	CREW__MSG_PASS_REFUSED,     /* struct crew__passed */
};

struct crew__hello {
	char service[64];
	uint32_t id, generation;
	uint32_t life, index; /* its own, as in struct crew__life_note */
	uint32_t listeners;
	uint32_t tls; /* certificates follow the listeners */
	struct crew__tls_secret secret;
};

/* What tickets are sealed with goes with certificates, as both are needed to begin. */
struct crew__tls_order {
	struct crew__tls_secret secret;
	uint32_t serial;
	uint32_t tell; /* log what comes of it */
};
struct crew__tls_done {
	uint32_t serial;
	int32_t status;
};

struct crew__stop_order {
	uint64_t window_ms;
	uint32_t graceful;
	int32_t close_code;
};

/* Place `index` now holds that life; or is empty. */
struct crew__life_note {
	uint32_t index; /* below CREW__LIVES_MAX */
	uint32_t life;
};

struct crew__absence {
	uint32_t id; /* who is or was away */
};

struct crew__command {
	uint32_t graceful;
};

/* One listening socket. A service's name is as in struct crew__hello. */
struct crew__socket_note {
	char service[64];
	uint32_t place, index; /* as in struct crew__inherited_socket */
	uint64_t device, inode;
};
enum {
	CREW__SOCKETS_MOST = 32 /* in one packet */
};
struct crew__sockets_note {
	uint32_t total; /* in all packets: what is still to come follows */
	uint32_t count; /* in this one */
	struct crew__socket_note socket[CREW__SOCKETS_MOST]; /* `count` of them are sent */
};
_Static_assert(sizeof(struct crew__sockets_note) <= CREW__WIRE_MAX, "a note is one packet");

struct crew__accepted {
	uint64_t bound_ms; /* it will be over by then */
};

enum {
	CREW__KICK_MOST = 500 /* ids in one packet */
};

struct crew__kick_order {
	uint32_t by; /* the user who asked */
	uint32_t count;
	uint64_t ids[CREW__KICK_MOST]; /* `count` of them are sent */
};
_Static_assert(sizeof(struct crew__kick_order) <= CREW__WIRE_MAX, "an order is one packet");

struct crew__message {
	unsigned type;
	uint32_t length;
	unsigned fd_count;
	int fds[CREW__WIRE_MAX_FDS]; /* -1 where taken */
	/* A NUL follows the payload, so that a sentence can be printed. */
	_Alignas(8) char payload[CREW__WIRE_MAX + 1];
};

/* Two connected ends, non-blocking and close-on-exec. */
int crew__wire_pair(int ret_fds[2]);

/* Send one message, whole or not at all; the descriptors stay the caller's. 0; -EAGAIN when the
 * peer's queue is full; -EMSGSIZE; -EPIPE, -ECONNRESET; another negative errno. */
int crew__wire_send(
	int fd, unsigned type, const void *payload, size_t length, const int *fds, size_t fd_count);
/* The same for a message that is a sentence; what is too long is cut. */
int crew__wire_send_text(int fd, unsigned type, const char *text);

/* The next message: 1; 0 at the end of the stream; -EAGAIN; -EPROTO; another negative errno. After
 * 1 the message's descriptors are the caller's: take them, and release the rest. */
int crew__wire_receive(int fd, struct crew__message *ret_message);
/* As crew__wire_receive, waiting until `deadline_ns` for it: -ETIMEDOUT. */
int crew__wire_await(int fd, struct crew__message *ret_message, uint64_t deadline_ns);

/* Descriptor `index`, the caller's from now on; -1 when there is none or it was taken. */
int crew__message_take_fd(struct crew__message *message, unsigned index);
/* Close what was not taken. */
void crew__message_release(struct crew__message *message);

#endif
