/* address_parts.h - what the files that read addresses share. */
#ifndef CREW_NET_ADDRESS_PARTS_H
#define CREW_NET_ADDRESS_PARTS_H

#include "base/complaint.h"
#include "net/address.h"

#define CREW__ADDRESS_EXAMPLES "such as tcp://127.0.0.1:7001 or unix://RUNDIR/name.sock"

/* The path, or @NAME, of a Unix socket. */
int crew__address_path_parse(const char *path, const char *run_dir, struct crew__address *address,
	const struct crew__complaint *complaint);
/* As an address would say it. */
void crew__address_path_text(const struct crew__address *address, char *text, size_t size);
/* Bytes of a path or a name, with %XX for those that no address and no screen takes as they are. As
 * snprintf: returns the full length. */
size_t crew__address_encode(const char *bytes, size_t length, char *text, size_t size);

#endif
