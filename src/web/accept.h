/* accept.h - what a client would rather have: Accept and Accept-Encoding (RFC 9110 section 12.5).
 *
 * Weights are thousandths, 0 to 1000; 0: not wanted. All fields of the name count as one list. An
 * element that is not well formed is passed over. */
#ifndef CREW_WEB_ACCEPT_H
#define CREW_WEB_ACCEPT_H

#include "base/base.h"

/* The weight of a media type ("text/html"). Without the field everything is 1000. */
unsigned crew__accept_type(const crew_header *fields, size_t count, const char *type);

/* Is the one wanted more than the other? With equal weights, the one that the client names more
 * exactly: `application/json, *` `/` `*` is a wish for JSON. */
bool crew__accept_prefers(
	const crew_header *fields, size_t count, const char *type, const char *to_type);

/* The weight of a content coding ("gzip", "br", "identity"). What is not named is 0, except that
 * `identity` is 1000 unless it is refused, or what is not named is. Without the field so as well.
 */
unsigned crew__accept_coding(const crew_header *fields, size_t count, const char *coding);

#endif
