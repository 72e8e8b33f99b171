//! Tries to measure real time by how long the host takes to refuse something: by
//! the clock it has, and by counting how often it looks until the answer is
//! there.

use std::hint::black_box;

use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::now;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

task!("reflex/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let work: u64 = params.work.parse().map_err(|_| Failure::new("NoNumber", params.work.as_str()))?;
    let mut told = Vec::new();
    for _ in 0..20 {
        // As much work as is asked for, so that runs differ in the time they take.
        black_box((0..work).fold(0_u64, |sum, n| sum.rotate_left(7) ^ black_box(n)));
        for attempt in [request, name, stream, datagram] {
            let before = now();
            let looks = attempt()?;
            told.push(format!("{looks} looks in {} ns", now() - before));
        }
    }
    Ok(Results { told })
}

/// Sends a request that is refused; gives how often it looked for the answer.
fn request() -> Result<u64, Failure> {
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Https)).and(request.set_authority(Some("example.test")));
    let set = set.and(request.set_path_with_query(Some("/")));
    set.map_err(|()| Failure::new("NoRequest", "it cannot be made"))?;
    let answer = handle(request, None).map_err(|code| Failure::new("NoRequest", format!("{code:?}")))?;
    let ready = answer.subscribe();
    let mut looks = 0;
    while !ready.ready() {
        looks += 1;
    }
    match answer.get() {
        Some(Ok(Err(_))) => Ok(looks),
        Some(_) | None => Err(escaped()),
    }
}

fn name() -> Result<u64, Failure> {
    let found = resolve_addresses(&instance_network(), "clamd.example.test");
    if found.is_ok() { Err(escaped()) } else { Ok(0) }
}

fn stream() -> Result<u64, Failure> {
    if create_tcp_socket(IpAddressFamily::Ipv4).is_ok() { Err(escaped()) } else { Ok(0) }
}

fn datagram() -> Result<u64, Failure> {
    if create_udp_socket(IpAddressFamily::Ipv4).is_ok() { Err(escaped()) } else { Ok(0) }
}

fn escaped() -> Failure {
    Failure::new("Escaped", "something that nothing granted was not refused at once")
}
