/* sse.h - an event as text/event-stream has it, and nothing else.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * Line breaks in the data (CR, LF, CRLF) begin a new `data:` line, so a reader gets each as LF. Not
 * here: connections, chunks (service/http_events.c). */
#ifndef CREW_WEB_SSE_H
#define CREW_WEB_SSE_H

#include "base/base.h"

/* May it be sent? No line break in name or id, no negative time. */
bool crew__sse_valid(const crew_event *event);

/* How long it will be, and write it into so many bytes. An event without name and data (data.data
 * NULL) but with an id or a time has no data line: it tells only those, and is no event to the
 * page. */
size_t crew__sse_size(const crew_event *event);
void crew__sse_write(const crew_event *event, char *room);

/* Is it one data line, so that DATA_HEAD before it and an empty line behind it make an event? */
bool crew__sse_is_line(crew_bytes data);
#define CREW__SSE_DATA_HEAD "data: "

#endif
