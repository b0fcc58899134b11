/* listeners.c - opening what the services listen on. */
#include "proc/listeners.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is there one for each worker at that address? */
static bool has_each(const struct crew__listening *place,
	const struct crew__service_settings *settings, bool single)
{
	bool own = settings->reuse_port && !single;
	/* Of a group each of several sockets would get every datagram. */
	return own && place->address.transport != CREW__UNIX &&
	       !crew__address_is_group(&place->address);
}

/* Room for `count` sockets at least; those that are new are not there. */
static int make_room(struct crew__listening *place, unsigned count)
{
	if (count <= place->count)
		return 0;
	int *fds = reallocarray(place->fds, count, sizeof(int));
	if (!fds)
		return -ENOMEM;
	place->fds = fds;
	while (place->count < count)
		fds[place->count++] = -1;
	return 0;
}

/* One worker id at least has sockets of its own: room for who accepts for them. */
static int note_each(struct crew__listener *listener, unsigned each)
{
	if (each < 2 || each <= listener->each)
		return 0;
	pid_t *keepers = reallocarray(listener->keepers, each, sizeof(pid_t));
	if (!keepers)
		return -ENOMEM;
	memset(keepers + listener->each, 0, (each - listener->each) * sizeof(pid_t));
	listener->keepers = keepers;
	listener->each = each;
	return 0;
}

/* There may be more than there are workers now, and somebody may wait in each. */
static int take_surplus(struct crew__listening *place, unsigned number, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	struct crew__address_file file;
	int fd;
	while ((fd = crew__inherited_take(
			inherited, service, number, &place->address, place->count, &file)) >= 0) {
		int error = make_room(place, place->count + 1);
		if (error) {
			close(fd);
			return error;
		}
		place->fds[place->count - 1] = fd;
		error = crew__address_adopt(
			&place->address, fd, &file, true, ret_error, error_size);
		if (error)
			return error;
	}
	return 0;
}

/* Those that are there already. */
static int take_place(struct crew__listening *place, unsigned number, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < place->count; i++) {
		struct crew__address_file file;
		place->fds[i] = crew__inherited_take(
			inherited, service, number, &place->address, i, &file);
		if (place->fds[i] < 0)
			continue;
		place->taken = true;
		int error = crew__address_adopt(
			&place->address, place->fds[i], &file, place->each, ret_error, error_size);
		if (error)
			return error;
	}
	return 0;
}

/* The others. The first may choose a port: the rest get the same. */
static int open_place(struct crew__listening *place, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < place->count; i++) {
		if (place->fds[i] >= 0)
			continue;
		int fd = crew__address_listen(&place->address, place->each, ret_error, error_size);
		if (fd < 0)
			return fd;
		place->fds[i] = fd;
	}
	return 0;
}

static int make_places(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, bool single,
	char *ret_error, size_t error_size)
{
	struct crew__address *addresses = calloc(CREW__ADDRESSES_MAX, sizeof(*addresses));
	size_t count = 0;
	if (!addresses)
		return -ENOMEM;
	int status = crew__addresses_parse(
		settings->listen, run_dir, addresses, &count, ret_error, error_size);
	if (status == 0)
		listener->places = calloc(count, sizeof(*listener->places));
	if (status == 0 && !listener->places)
		status = -ENOMEM;
	for (size_t i = 0; status == 0 && i < count; i++) {
		struct crew__listening *place = &listener->places[i];
		place->address = addresses[i];
		place->address.unsent_limit = (uint32_t)settings->kernel_unsent_limit;
		listener->count++;
		place->each = has_each(place, settings, single);
		status = make_room(place, place->each ? (unsigned)settings->workers : 1);
		if (status == 0)
			status = note_each(listener, place->count);
	}
	free(addresses);
	return status;
}

static int take_service(struct crew__listener *listener, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++) {
		struct crew__listening *place = &listener->places[i];
		status = take_place(place, i, service, inherited, ret_error, error_size);
		if (status == 0 && place->each)
			status = take_surplus(place, i, service, inherited, ret_error, error_size);
		if (status == 0)
			status = note_each(listener, place->count);
	}
	return status;
}

static int open_service(struct crew__listener *listener, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++)
		status = open_place(&listener->places[i], ret_error, error_size);
	if (status == 0 && listener->count > 0)
		crew__addresses_text(&listener->places[0].address, sizeof(listener->places[0]),
			listener->count, listener->text, sizeof(listener->text));
	return status;
}

static void close_place(struct crew__listening *place)
{
	for (unsigned n = 0; n < place->count; n++) {
		if (place->fds[n] < 0)
			continue;
		crew__address_unlink(&place->address, place->fds[n]);
		close(place->fds[n]);
	}
	free(place->fds);
}

static void close_service(struct crew__listener *listener)
{
	for (unsigned i = 0; i < listener->count; i++)
		close_place(&listener->places[i]);
	free(listener->places);
	free(listener->keepers);
	memset(listener, 0, sizeof(*listener));
}

/* One pass over the services: what it needs, and where its complaint goes. */
struct step {
	const struct crew__listeners_plan *plan;
	char *error;
	size_t error_size;
};

static int explain(const struct step *step, unsigned index, int status, const char *why)
{
	const struct crew__service_settings *settings = &step->plan->settings->service[index];
	if (status < 0)
		snprintf(step->error, step->error_size, "service %s cannot listen on %s: %s",
			settings->service->name, settings->listen, why);
	return status;
}

static int begin_one(struct crew__listener *listener, const struct step *step, unsigned index)
{
	const struct crew__listeners_plan *plan = step->plan;
	const struct crew__service_settings *settings = &plan->settings->service[index];
	char why[512] = "no memory";
	listener->accept = settings->accept;
	if (!settings->listen)
		return 0;
	int status = make_places(
		listener, settings, plan->settings->run_dir, plan->single, why, sizeof(why));
	if (status == 0 && plan->inherited)
		status = take_service(
			listener, settings->service->name, plan->inherited, why, sizeof(why));
	return explain(step, index, status, why);
}

static int open_one(struct crew__listener *listener, const struct step *step, unsigned index)
{
	char why[512] = "no memory";
	return explain(step, index, open_service(listener, why, sizeof(why)), why);
}

static struct crew__listener *listener_of(
	struct crew__listeners *listeners, const struct crew__listeners_plan *plan, unsigned index)
{
	return &listeners->service[plan->places ? plan->places[index] : index];
}

/* What was there already goes on without us. */
static void give_back(struct crew__listeners *listeners)
{
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++)
		for (unsigned i = 0; i < listeners->service[s].count; i++)
			if (listeners->service[s].places[i].taken)
				listeners->service[s].places[i].address.file_inode = 0;
	crew__listeners_close(listeners);
}

int crew__listeners_open(struct crew__listeners *listeners, const struct crew__listeners_plan *plan,
	char *ret_error, size_t error_size)
{
	const struct step step = { plan, ret_error, error_size };
	unsigned services = plan->settings->services;
	int status = 0;
	memset(listeners, 0, sizeof(*listeners));
	for (unsigned i = 0; status == 0 && i < services; i++)
		status = begin_one(listener_of(listeners, plan, i), &step, i);
	/* What nobody wants may be in the way of what is opened now. */
	if (plan->inherited)
		crew__inherited_fini(plan->inherited, plan->quiet || status < 0);
	for (unsigned i = 0; status == 0 && i < services; i++)
		status = open_one(listener_of(listeners, plan, i), &step, i);
	if (status < 0)
		give_back(listeners);
	return status;
}

void crew__listeners_close(struct crew__listeners *listeners)
{
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		close_service(&listeners->service[i]);
}

/* ---- two generations ----------------------------------------------------------------------- */

static bool has_file(const struct crew__listeners *listeners, const struct crew__address *address)
{
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++) {
		for (unsigned i = 0; i < listeners->service[s].count; i++) {
			const struct crew__address *other =
				&listeners->service[s].places[i].address;
			if (other->file_inode == address->file_inode &&
				other->file_device == address->file_device)
				return true;
		}
	}
	return false;
}

void crew__listeners_leave(struct crew__listeners *listeners)
{
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++)
		for (unsigned i = 0; i < listeners->service[s].count; i++)
			listeners->service[s].places[i].address.file_inode = 0;
}

void crew__listeners_close_but(
	struct crew__listeners *listeners, const struct crew__listeners *others)
{
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++) {
		for (unsigned i = 0; i < listeners->service[s].count; i++) {
			struct crew__address *address = &listeners->service[s].places[i].address;
			if (has_file(others, address))
				address->file_inode = 0;
		}
	}
	crew__listeners_close(listeners);
}

static int copy_place(const struct crew__listening *place, const char *name, unsigned number,
	struct crew__inherited *inherited)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < place->count; i++) {
		if (place->fds[i] < 0)
			continue;
		struct crew__inherited_socket socket = {
			.place = number,
			.index = i,
			.file = { place->address.file_device, place->address.file_inode },
			.fd = fcntl(place->fds[i], F_DUPFD_CLOEXEC, 0),
		};
		snprintf(socket.name, sizeof(socket.name), "%s", name);
		status = socket.fd < 0 ? -errno : crew__inherited_add(inherited, &socket);
	}
	return status;
}

int crew__listeners_copy(const struct crew__listeners *listeners, char (*names)[CREW__NAME_MAX],
	struct crew__inherited *inherited)
{
	int status = 0;
	for (unsigned s = 0; s < CREW_MAX_SERVICES; s++)
		for (unsigned i = 0; status == 0 && i < listeners->service[s].count; i++)
			status = copy_place(
				&listeners->service[s].places[i], names[s], i, inherited);
	return status;
}

static int widen(
	struct crew__listener *listener, unsigned workers, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++) {
		struct crew__listening *place = &listener->places[i];
		if (!place->each)
			continue;
		status = make_room(place, workers);
		if (status == 0)
			status = open_place(place, ret_error, error_size);
		int noted = note_each(listener, place->count);
		status = status < 0 ? status : noted;
	}
	return status;
}

int crew__listeners_widen(struct crew__listeners *listeners, unsigned service, unsigned workers,
	char *ret_error, size_t error_size)
{
	char why[512] = "no memory";
	int status = widen(&listeners->service[service], workers, why, sizeof(why));
	if (status < 0)
		snprintf(ret_error, error_size, "there are no sockets for more workers at %s: %s",
			listeners->service[service].text, why);
	return status;
}

unsigned crew__listeners_fds(const struct crew__listeners *listeners, unsigned service, unsigned id,
	bool own, int ret_fds[CREW__ADDRESSES_MAX])
{
	const struct crew__listener *listener = &listeners->service[service];
	unsigned count = 0;
	for (unsigned i = 0; i < listener->count; i++) {
		const struct crew__listening *place = &listener->places[i];
		unsigned index = place->each && id < place->count ? id : 0;
		if ((own && (place->count < 2 || index != id)) || place->fds[index] < 0)
			continue;
		ret_fds[count++] = place->fds[index];
	}
	return count;
}
