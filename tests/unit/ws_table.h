/* ws_table.h - the table of WebSocket cases (tests/data/ws_cases.txt, where its form is explained):
 * read, its frames made into bytes for either role, and events written down as it writes them. */
#ifndef CREW_TESTS_WS_TABLE_H
#define CREW_TESTS_WS_TABLE_H

#include "ws_ways.h"

enum {
	WS_TABLE_LIMIT = 100000, /* max_message */
	WS_TABLE_EVENTS = 4000,  /* room for the events of a case */
};

struct ws_case {
	const char *section, *name, *frames, *events;
	bool server, client; /* our roles that it is for */
	bool deflate, takeover, shared, early;
};

struct ws_table {
	char *text;
	struct ws_case *cases;
	size_t count;
};

struct ws_table ws_table_read(void);
void ws_table_free(struct ws_table *t);

/* What the peer sends to us in that role. */
struct ws_stream ws_case_stream(const struct ws_case *c, bool client);

/* One event, behind what is written. Returns where it ends. */
char *ws_table_tell(char *out, const struct crew__ws_event *e);

#endif
