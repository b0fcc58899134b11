/* page.h - the dashboard's page, and what it may do. */
#ifndef CREW_ADMIN_PAGE_H
#define CREW_ADMIN_PAGE_H

#include "base/base.h"

enum {
	CREW__POLICY_MAX = 1024
};

/* The Content-Security-Policy of a page: its own scripts and styles, by their hashes, connections
 * to the host it came from (`host`, as the client calls it), and nothing else. 0; -ENOSPC when it
 * has too many scripts and styles for `text`. */
int crew__page_policy(crew_bytes page, crew_bytes host, char text[CREW__POLICY_MAX]);

/* GET / */
void crew__page(crew_conn *c, const crew_request *request);

#endif
