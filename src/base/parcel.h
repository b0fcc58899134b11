/* parcel.h - values for another process, each with its tag and its length, back to back.
 *
 * Who reads knows the tags that it knows: a tag that it does not know is passed over, one that is
 * missing is missing, and a value that is longer or shorter than expected is no value. So programs
 * of different versions read each other, and of what is read nothing is believed but its bytes.
 *
 * Both ends are on one machine: numbers are in its own byte order. */
#ifndef CREW_BASE_PARCEL_H
#define CREW_BASE_PARCEL_H

#include "base/buf.h"

/* What could not be put in is remembered, so that a long row of puts is checked once. */
struct crew__parcel {
	struct crew__buf bytes;
	int error; /* 0, -ENOMEM, -ENOBUFS: then `bytes` is not whole */
};

/* In place, owning nothing; it never holds more than `max` bytes. */
void crew__parcel_init(struct crew__parcel *parcel, size_t max);
void crew__parcel_fini(struct crew__parcel *parcel);
void crew__parcel_put(struct crew__parcel *parcel, uint16_t tag, crew_bytes value);
void crew__parcel_number(struct crew__parcel *parcel, uint16_t tag, uint64_t value);

struct crew__parcel_item {
	uint16_t tag;
	crew_bytes value; /* a view of what is read */
};

/* The next item of `*left`, which moves on: 1; 0 at the end; -EPROTO when what is left is none. */
int crew__parcel_next(crew_bytes *left, struct crew__parcel_item *ret_item);
/* The value as a number of at most `most`. False: it is none. */
bool crew__parcel_is_number(
	const struct crew__parcel_item *item, uint64_t most, uint64_t *ret_number);

#endif
