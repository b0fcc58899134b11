/* unit_socket.c - the socket unit: where systemd listens for the program, before it is there. */
#include "cli/unit.h"

#include "net/address.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* What the addresses have in common, for a unit says it once for all of them. */
struct shared {
	unsigned services; /* that listen */
	const char *name;  /* of the only one */
	bool unix_files, every, reuse_port;
	const struct crew__address *with_mode, *with_owner, *with_group;
};

/* One service's addresses. */
struct places {
	const struct crew__service_settings *service;
	size_t count;
	struct crew__address address[CREW__ADDRESSES_MAX];
};

/* Where systemd listens in its own words. */
static void print_place(FILE *out, const struct crew__address *address)
{
	static const char local[] = "localhost:";
	const struct sockaddr_un *file = (const void *)&address->socket;
	const char *where = strstr(address->text, "://") + 3;
	if (address->transport == CREW__UNIX && !address->abstract)
		crew__unit_text(out, file->sun_path);
	else if (address->every) /* it has the port alone for that */
		fputs(strrchr(where, ':') + 1, out);
	else if (strncmp(where, local, sizeof(local) - 1) == 0)
		fprintf(out, "127.0.0.1:%s", where + sizeof(local) - 1);
	else
		crew__unit_text(out, where);
}

static bool is_any_port(const struct crew__address *address)
{
	struct crew__record_address record;
	crew__address_record((const struct sockaddr *)&address->socket, &record);
	return address->transport != CREW__UNIX && record.port == 0;
}

static void print_service(FILE *out, const struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct crew__address *address = &places->address[i];
		bool datagrams = address->transport == CREW__UDP;
		bool each = places->service->reuse_port && address->transport != CREW__UNIX;
		int64_t times = each ? places->service->workers : 1;
		if (is_any_port(address) || crew__address_is_group(address)) {
			fprintf(out, "# %s: %s; the program opens it itself.\n", address->text,
				is_any_port(address) ? "any port" : "a multicast group");
			continue;
		}
		for (int64_t n = 0; n < times; n++) {
			fputs(datagrams ? "ListenDatagram=" : "ListenStream=", out);
			print_place(out, address);
			fputc('\n', out);
		}
	}
}

static void share(struct shared *shared, const struct places *places)
{
	shared->services++;
	shared->name = places->service->service->name;
	shared->reuse_port = shared->reuse_port ||
			     (places->service->reuse_port && places->service->workers > 1);
	for (size_t i = 0; i < places->count; i++) {
		const struct crew__address *address = &places->address[i];
		const struct crew__address_options *options = &address->options;
		shared->every = shared->every || address->every;
		if (address->transport == CREW__UNIX && !address->abstract)
			shared->unix_files = true;
		if (crew__option_given(options, CREW__OPTION_mode))
			shared->with_mode = address;
		if (crew__option_given(options, CREW__OPTION_owner))
			shared->with_owner = address;
		if (crew__option_given(options, CREW__OPTION_group))
			shared->with_group = address;
	}
}

static void print_shared(FILE *out, const struct shared *shared)
{
	/* With several services the address tells whose a socket is. */
	if (shared->services == 1)
		fprintf(out, "FileDescriptorName=%s\n", shared->name);
	fprintf(out, "BindIPv6Only=%s\n", shared->every ? "both" : "ipv6-only");
	if (shared->reuse_port)
		fputs("ReusePort=yes\n", out);
	if (shared->with_mode)
		fprintf(out, "SocketMode=%04o\n",
			(unsigned)shared->with_mode->options.value[CREW__OPTION_mode]);
	if (shared->with_owner)
		fprintf(out, "SocketUser=%s\n", shared->with_owner->options.owner);
	if (shared->with_group)
		fprintf(out, "SocketGroup=%s\n", shared->with_group->options.group);
	if (shared->unix_files)
		fputs("RemoveOnStop=yes\n", out);
}

static int read_places(const struct crew__unit_plan *plan, unsigned index, struct places *places,
	char *error, size_t size)
{
	places->service = &plan->settings->service[index];
	places->count = 0;
	if (!places->service->listen)
		return 0;
	return crew__addresses_parse(places->service->listen, plan->run_dir, places->address,
		&places->count, error, size);
}

static int print_sockets(
	FILE *out, const struct crew__unit_plan *plan, struct places *all, char *error, size_t size)
{
	struct shared shared = { .services = 0 };
	for (unsigned i = 0; i < plan->settings->services; i++) {
		int status = read_places(plan, i, &all[i], error, size);
		if (status < 0)
			return status;
		if (all[i].count == 0)
			continue;
		share(&shared, &all[i]);
		print_service(out, &all[i]);
	}
	if (shared.services == 0) {
		snprintf(error, size,
			"no service listens anywhere, so there are no sockets to open");
		return -EINVAL;
	}
	print_shared(out, &shared);
	return 0;
}

int crew__unit_socket(
	FILE *out, const struct crew__unit_plan *plan, char *ret_error, size_t error_size)
{
	const char *name = plan->settings->name;
	struct places *all = calloc(plan->settings->services, sizeof(*all));
	if (!all)
		return -ENOMEM;
	fprintf(out,
		"# %s.socket, printed by `%s systemd-unit --socket`. To be put beside\n"
		"# %s.service and switched on by systemctl enable --now %s.socket\n"
		"[Unit]\nDescription=Sockets of ",
		name, name, name, name);
	crew__unit_text(out, name);
	fputs("\n\n[Socket]\n", out);
	int status = print_sockets(out, plan, all, ret_error, error_size);
	fputs("\n[Install]\nWantedBy=sockets.target\n", out);
	free(all);
	return status;
}
