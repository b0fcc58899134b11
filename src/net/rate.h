/* rate.h - a cap on what one connection is sent: bytes and messages a second.
 *
 * A bucket for each that holds a second's worth and fills with time. Bytes are spent when they
 * leave, a message when its last byte does; a message that has begun may go on. Numbers only: no
 * sockets, no connections. */
#ifndef CREW_NET_RATE_H
#define CREW_NET_RATE_H

#include "base/base.h"

struct crew__rate {
	uint64_t bytes_per_s, messages_per_s; /* 0: no cap */
	uint64_t bytes;                       /* that may leave now, in hundredths of a byte */
	uint64_t messages;                    /* likewise */
	uint32_t at;                          /* hundredths: when the buckets were last filled */
};

/* The most that a cap can be. */
#define CREW__RATE_MOST (INT64_C(1) << 30)

/* Caps from now on; the buckets are full. */
void crew__rate_set(
	struct crew__rate *rate, uint64_t bytes_per_s, uint64_t messages_per_s, uint32_t now);

static inline bool crew__rate_is_capped(const struct crew__rate *rate)
{
	return rate->bytes_per_s > 0 || rate->messages_per_s > 0;
}

/* What may leave at `now`: bytes (SIZE_MAX: any number) and messages (UINT32_MAX: any number). */
void crew__rate_room(
	struct crew__rate *rate, uint32_t now, size_t *ret_bytes, uint32_t *ret_messages);
void crew__rate_spend(struct crew__rate *rate, size_t bytes, uint32_t messages);

/* How long (hundredths, at least 1) until it is worth writing again to a queue of `queued` bytes.
 */
uint32_t crew__rate_wait(const struct crew__rate *rate, size_t queued);

#endif
