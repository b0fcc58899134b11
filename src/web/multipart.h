/* multipart.h - multipart/form-data, bytes in, events out (RFC 7578, RFC 2046 section 5.1).
 *
 * Incremental, in time linear in the bytes however they are cut: contents pass through as views
 * into the caller's bytes, only the heads of parts (at most 8 KiB each) are gathered. What would
 * begin a boundary at the end of one piece is held back in thought only: those bytes are the
 * boundary's own, so they can be told from the parser's copy of it when it was none after all.
 * Strict about what could be read in two ways; lines end in CRLF. */
#ifndef CREW_WEB_MULTIPART_H
#define CREW_WEB_MULTIPART_H

#include "base/buf.h"
#include "web/multipart_head.h"

enum {
	CREW__BOUNDARY_MOST = 70, /* RFC 2046 */
	CREW__PART_HEAD_MOST = 8 * 1024,
	CREW__PARTS_MOST = 1024,
};

enum crew__multipart_event {
	CREW__MULTIPART_MORE, /* all bytes are consumed */
	CREW__MULTIPART_PART, /* a part begins: `part` says which */
	CREW__MULTIPART_DATA, /* bytes of it */
	CREW__MULTIPART_PART_END,
	CREW__MULTIPART_END, /* of the form; what follows is passed over */
	/* Once one of these was told, it is told for ever. */
	CREW__MULTIPART_BAD,       /* malformed */
	CREW__MULTIPART_TOO_LARGE, /* too many parts, or a head that is too long */
	CREW__MULTIPART_NO_MEMORY,
};

struct crew__multipart {
	uint8_t state;
	uint8_t delimiter_len;
	uint8_t matched; /* bytes of the delimiter that were the last to come */
	uint8_t silent;  /* of these, how many are not there to be told when it is none after all */
	uint8_t failure; /* enum crew__multipart_event */
	uint32_t parts;
	char delimiter[4 + CREW__BOUNDARY_MOST]; /* CR LF - - boundary */
	struct crew__buf head;
	struct crew__part_head part; /* valid until the part ends */
};

/* Is that the Content-Type of such a form? */
bool crew__multipart_is(crew_bytes content_type);
/* Its boundary: 0, or -EINVAL: it is missing, there twice, longer than 70 or made of other bytes
 * than RFC 2046 allows. */
int crew__multipart_boundary(crew_bytes content_type, crew_bytes *ret_boundary);

/* `boundary` as the function above gives it. */
void crew__multipart_init(struct crew__multipart *m, crew_bytes boundary);
void crew__multipart_fini(struct crew__multipart *m);

/* The next event in `*bytes`, which is moved on over what is consumed. With CREW__MULTIPART_DATA
 * `*ret_data` is a view, not empty, valid until the next call. */
enum crew__multipart_event crew__multipart_next(
	struct crew__multipart *m, crew_bytes *bytes, crew_bytes *ret_data);

/* Its end has been told. */
bool crew__multipart_ended(const struct crew__multipart *m);

#endif
