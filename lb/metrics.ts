/** What role lb puts on /metrics, read from plain numbers when scraped. */
import type { TargetState } from "../src/ops/control_protocol.ts";
import { collect, collectHistogram, type Report } from "../src/ops/metrics.ts";
import { tick } from "../src/std/clock.ts";
import type { Balancer } from "./balancer.ts";
import type { ControlPlane } from "./control/plane.ts";
import { healthStates } from "./health/state.ts";
import type { Front } from "./listen.ts";
import type { Services } from "./services.ts";
import type { Target } from "./target.ts";

/** What a process counts that carries requests. */
export function publishTrafficMetrics(balancer: Balancer, front: Front): void {
  const { counters } = balancer;
  collect("lb_connections_open", (report) => report({}, front.connectionsOpen));
  collect("lb_connections_accepted_total", (report) => report({}, counters.connectionsAccepted));
  collect("lb_connections_refused_total", (report) => {
    for (const [reason, count] of Object.entries(counters.connectionsRefused)) report({ reason }, count);
  });
  collect("lb_tunnels_open", (report) => report({}, counters.tunnelsOpen));
  collect("lb_tunnels_total", (report) => report({}, counters.tunnels));
  collect("lb_requests_in_flight", (report) => report({}, counters.exchangesInFlight));
  collect("lb_bytes_total", (report) => {
    report({ direction: "received" }, counters.received.bytes);
    report({ direction: "sent" }, counters.sent.bytes);
  });
  collect("lb_requests_limited_total", (report) => {
    const { rate, concurrency } = balancer.limits?.refused ?? { rate: 0, concurrency: 0 };
    report({ limit: "rate" }, rate);
    report({ limit: "concurrency" }, concurrency);
  });
  collect("lb_retries_total", (report) => {
    for (const [reason, count] of Object.entries(counters.retries)) report({ reason }, count);
  });
  collect("lb_retries_refused_total", (report) => report({}, balancer.retryBudget.refused));
  collect("lb_retry_budget", (report) => report({}, balancer.retryBudget.left(tick())));
  publishServices(balancer.services);
  publishTargets(balancer.services);
}

/** What the control plane knows. */
export function publishHealthMetrics(control: ControlPlane): void {
  const perTarget = (read: (target: TargetState) => number) => (report: Report) => {
    for (const { name: service, targets } of control.status()) {
      for (const target of targets) report({ service, target: target.name }, read(target));
    }
  };
  collect(
    "lb_target_healthy",
    perTarget(({ state }) => (state === "healthy" ? 1 : 0)),
  );
  collect(
    "lb_target_ejections_total",
    perTarget(({ ejections }) => ejections),
  );
  collect("lb_targets", (report) => {
    for (const { name: service, targets } of control.status()) {
      for (const state of healthStates) {
        report({ service, state }, targets.filter((target) => target.state === state).length);
      }
    }
  });
  collect("lb_service_panic", (report) => {
    for (const { name: service, isPanic } of control.world.services) report({ service }, isPanic ? 1 : 0);
  });
}

function publishServices(services: Services): void {
  collect("lb_queue_depth", (report) => {
    for (const { name, queue } of services.all()) report({ service: name }, queue.depth);
  });
  collect("lb_queue_shed_total", (report) => {
    for (const { name, queue } of services.all()) {
      report({ service: name, reason: "full" }, queue.shedWhenFull);
      report({ service: name, reason: "deadline" }, queue.shedAtDeadline);
    }
  });
  collectHistogram("lb_queue_wait_seconds", (report) => {
    for (const { name, queue } of services.all()) report({ service: name }, queue.waits);
  });
  collectHistogram("lb_connect_seconds", (report) => {
    for (const { name, durations } of services.all()) report({ service: name }, durations.connect);
  });
  collectHistogram("lb_first_byte_seconds", (report) => {
    for (const { name, durations } of services.all()) report({ service: name }, durations.firstByte);
  });
}

function publishTargets(services: Services): void {
  const perTarget =
    (read: (target: Target) => number): ((report: Report) => void) =>
    (report) => {
      for (const service of services.all()) {
        for (const target of service.targets) report({ service: service.name, target: target.name }, read(target));
      }
    };
  collect(
    "lb_target_requests_in_flight",
    perTarget((target) => target.requestsInFlight),
  );
  collect(
    "lb_target_requests_total",
    perTarget((target) => target.requests),
  );
  collect(
    "lb_target_responses_total",
    perTarget((target) => target.responses),
  );
  collect(
    "lb_target_connects_total",
    perTarget((target) => target.pool.connects),
  );
  collect(
    "lb_target_connect_failures_total",
    perTarget((target) => target.pool.connectFailures),
  );
  collect(
    "lb_target_connections_open",
    perTarget((target) => target.pool.open),
  );
}
