/* laws_ways.h - numbered messages whose fates are followed, for tests at random: what is offered to
 * a connection is noted, what comes out at its far end is checked byte by byte, what is told as
 * lost is added up, and in the end all of it is compared with the counters.
 *
 * A *stream* is what one connection of ours sends. A message says whose it is, its number, and how
 * it goes on; numbers rise over all streams, so that each end sees them rise. */
#ifndef CREW_TESTS_LAWS_WAYS_H
#define CREW_TESTS_LAWS_WAYS_H

#include "net_ways.h"

enum {
	LAWS_STREAMS = 64,
	LAWS_NUMBERS = 3000,
	LAWS_LONGEST = 40000,
	LAWS_KEYS = 5,
};

enum laws_fate {
	LAWS_NOT_OFFERED,
	LAWS_ACCEPTED, /* waits, or was sent, replaced or lost: found out in the end */
	LAWS_REFUSED,  /* the send said so */
	LAWS_RECEIVED,
};

struct laws_stream {
	uint64_t id; /* of the connection; 0: it is not known yet */
	uint32_t uid;
	uint8_t fate[LAWS_NUMBERS + 1], lane[LAWS_NUMBERS + 1], key[LAWS_NUMBERS + 1];
	uint32_t last[2]; /* that came, by lane */
	uint64_t offered, came;
	uint64_t lost[CREW_LOST_REASONS], gaps; /* told */
	uint32_t parts_number;                  /* a message in parts is under way; 0: none */
	size_t parts_at, parts_len;
	bool finished; /* nothing more can be sent */
	bool telling;  /* its on_error runs */
	bool closed;   /* its on_close has come */
	bool cut;      /* it did not end in good order, or the far end did not listen to it */
};

extern struct laws {
	struct world *world;
	const crew_service *service;
	const char *tail; /* ends each message of what has no frames: "\n"; else "" */
	bool parts;       /* messages may be sent in parts */
	bool calm;        /* nothing ends a connection before its time */
	uint32_t seed;
	struct laws_stream *streams;
	unsigned count;
	uint32_t number;
	uint64_t nobodys;  /* offered where nobody can be told of the loss */
	uint64_t left_out; /* were to get a broadcast, and did not count as its members */
	bool sending;
	unsigned depth;
	void *kept[LAWS_NUMBERS]; /* what was sent as static */
	unsigned kept_count;
	unsigned handed_over, freed;
} laws;

/* Before the world opens, and after it was closed. */
void laws_begin(struct world *world, const crew_service *service, uint32_t seed);
void laws_end(void);
uint32_t laws_roll(uint32_t below);

/* A connection's stream: made, told to it (the first thing in its crew_data), and found again;
 * NULL: it has none. */
struct laws_stream *laws_stream_new(crew_conn *c);
struct laws_stream *laws_stream_of(crew_conn *c);
/* One that lives and has a stream. */
crew_conn *laws_anybody(void);

/* What its callbacks do: note, and make random calls. */
void laws_on_loss(crew_conn *c, const crew_loss *loss);
void laws_on_gap(crew_conn *c, const crew_gap *gap);
void laws_on_close(crew_conn *c);
void laws_some_calls(crew_conn *c);
void laws_broadcast(void);

/* A message of that stream has come out at the far end. */
void laws_take(struct laws_stream *stream, crew_bytes body);
/* Those in `bytes` that end with the tail; how many bytes they are. */
size_t laws_take_lines(struct laws_stream *stream, crew_bytes bytes);

/* Nothing holds it back any longer: caps, budget, pauses, unfinished messages. */
void laws_let_go(void);
/* All numbers together, with all that is to leave gone. */
void laws_account(void);

/* As many plays as CREW_LAWS_SEEDS says, or the one of CREW_LAWS_SEED. */
void laws_play_all(uint32_t seeds, void (*play)(uint32_t seed, void *arg), void *arg);

#endif
