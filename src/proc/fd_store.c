/* fd_store.c - putting listening sockets where the service manager keeps them for us. */
#include "proc/fd_store.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX "kept/"

void crew__fd_store_begin(struct crew__fd_store *store, struct crew__notify *notify, bool on)
{
	*store = (struct crew__fd_store){ .notify = notify->on ? notify : NULL, .on = on };
}

void crew__fd_store_end(struct crew__fd_store *store)
{
	for (size_t i = 0; i < store->count; i++)
		free(store->names[i]);
	free(store->names);
	*store = (struct crew__fd_store){ .notify = NULL };
}

/* ---- names --------------------------------------------------------------------------------- */

/* One socket of the listeners. */
struct place {
	const struct crew__address *address;
	int fd;
	char name[CREW__FD_NAME_MAX];
};

/* All of them. */
struct places {
	struct place *place;
	size_t count;
};

static bool has_file(const struct crew__address *address)
{
	return address->transport == CREW__UNIX && !address->abstract && address->file_inode != 0;
}

/* The inode is the socket's own, which no other one has as long as it lives. */
static void write_name(struct place *place, const char *service, unsigned number, unsigned index)
{
	const struct crew__address *address = place->address;
	struct stat status = { .st_ino = 0 };
	fstat(place->fd, &status);
	int length = snprintf(place->name, sizeof(place->name), PREFIX "%s.%u.%u.%" PRIx64, service,
		number, index, (uint64_t)status.st_ino);
	if (has_file(address))
		snprintf(place->name + length, sizeof(place->name) - (size_t)length,
			"/%" PRIx64 ".%" PRIx64, (uint64_t)address->file_device,
			(uint64_t)address->file_inode);
}

bool crew__fd_store_is_name(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

/* What write_name() has written, and the manager has kept. */
bool crew__fd_store_read_name(const char *name, struct crew__inherited_socket *ret_socket)
{
	struct crew__inherited_socket socket = { .fd = -1 };
	uint64_t own, device = 0, inode = 0;
	int end = 0;
	if (!crew__fd_store_is_name(name))
		return false;
	name += strlen(PREFIX);
	if (sscanf(name, "%63[a-zA-Z0-9_-].%9u.%9u.%16" SCNx64 "%n", socket.name, &socket.place,
		    &socket.index, &own, &end) != 4)
		return false;
	name += end;
	end = 0;
	if (*name != '\0' &&
		(sscanf(name, "/%16" SCNx64 ".%16" SCNx64 "%n", &device, &inode, &end) != 2 ||
			name[end] != '\0'))
		return false;
	socket.file.device = (dev_t)device;
	socket.file.inode = (ino_t)inode;
	*ret_socket = socket;
	return true;
}

/* ---- what is in it ------------------------------------------------------------------------- */

static size_t find(const struct crew__fd_store *store, const char *name)
{
	size_t i = 0;
	while (i < store->count && strcmp(store->names[i], name) != 0)
		i++;
	return i;
}

static int note(struct crew__fd_store *store, const char *name)
{
	if (find(store, name) < store->count)
		return 0;
	char **names = realloc(store->names, (store->count + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	store->names = names;
	names[store->count] = strdup(name);
	if (!names[store->count])
		return -ENOMEM;
	store->count++;
	return 0;
}

static void put(struct crew__fd_store *store, const struct place *place)
{
	char text[CREW__FD_NAME_MAX + 32];
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", place->name);
	int status = note(store, place->name);
	if (status == 0)
		status = crew__notify_news(store->notify, text, place->fd);
	if (status < 0)
		crew__log(CREW_WARN,
			"the service manager does not keep the socket of %s: %s; a crash will refuse "
			"connections there",
			place->address->text, strerror(-status));
}

static void take_out(struct crew__fd_store *store, size_t i)
{
	char text[CREW__FD_NAME_MAX + 32];
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", store->names[i]);
	crew__notify_news(store->notify, text, -1);
	free(store->names[i]);
	store->names[i] = store->names[--store->count];
}

/* ---- all of the listeners ------------------------------------------------------------------ */

static size_t count_all(const struct crew__listeners *listeners)
{
	size_t count = 0;
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++)
		for (unsigned k = 0; k < listeners->service[s].count; k++)
			count += listeners->service[s].places[k].count;
	return count;
}

/* The caller frees ret_places->place. */
static int collect(const struct crew__listeners *listeners, char (*names)[CREW__NAME_MAX],
	struct places *ret_places)
{
	struct places all = { .place = calloc(count_all(listeners) + 1, sizeof(struct place)) };
	if (!all.place)
		return -ENOMEM;
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++) {
		const struct crew__listener *listener = &listeners->service[s];
		for (unsigned k = 0; k < listener->count; k++)
			for (unsigned i = 0; i < listener->places[k].count; i++) {
				if (listener->places[k].fds[i] < 0)
					continue;
				struct place *place = &all.place[all.count++];
				place->address = &listener->places[k].address;
				place->fd = listener->places[k].fds[i];
				write_name(place, names[s], k, i);
			}
	}
	*ret_places = all;
	return 0;
}

static bool is_among(const struct places *places, const char *name)
{
	for (size_t i = 0; i < places->count; i++)
		if (strcmp(places->place[i].name, name) == 0)
			return true;
	return false;
}

void crew__fd_store_found(struct crew__fd_store *store, const char *name)
{
	if (store->notify && note(store, name) < 0)
		crew__log(CREW_WARN, "no memory to note the kept socket %s", name);
}

void crew__fd_store_sync(struct crew__fd_store *store, const struct crew__listeners *listeners,
	char (*names)[CREW__NAME_MAX])
{
	struct places wanted = { .count = 0 };
	if (!store->notify)
		return;
	if (store->on && collect(listeners, names, &wanted) < 0) {
		crew__log(CREW_WARN, "no memory to tell the service manager of the sockets");
		return;
	}
	for (size_t i = store->count; i-- > 0;)
		if (!is_among(&wanted, store->names[i]))
			take_out(store, i);
	for (size_t i = 0; i < wanted.count; i++)
		put(store, &wanted.place[i]);
	free(wanted.place);
}

void crew__fd_store_leave(struct crew__fd_store *store, const struct crew__listeners *listeners,
	char (*names)[CREW__NAME_MAX])
{
	struct places all;
	if (!store->notify || store->count == 0 || collect(listeners, names, &all) < 0)
		return;
	for (size_t k = 0; k < all.count; k++) {
		size_t i = find(store, all.place[k].name);
		if (i < store->count && has_file(all.place[k].address))
			take_out(store, i);
	}
	free(all.place);
}
