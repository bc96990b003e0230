import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { HistogramView } from '../shared/histogram.js';
import { METRIC_ALIASES, type MetricAlias } from './metric-names.js';

/** Values of the labels of one sample, by label. */
type Labels<L extends string> = Readonly<Record<L, string>>;

/** One value of a gauge or counter. */
export interface Sample<L extends string> {
  readonly labels: Labels<L>;
  readonly value: number;
}

/** One time series of a histogram, in milliseconds. */
export interface HistogramSeries<L extends string> {
  readonly labels: Labels<L>;
  readonly view: HistogramView;
}

/** What the registry prints of a histogram. */
interface HistogramSample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * The metrics of one scrape: names get the prefix `switchyard_`, and renamed metrics are there under both names.
 * prom-client checks names and labels, escapes, and prints the text format.
 */
export class MetricRegistry {
  readonly #registry = new Registry();

  /** A gauge without labels. */
  single(name: string, help: string, value: number): void {
    this.gauge(name, help, [], [{ labels: {}, value }]);
  }

  gauge<L extends string>(name: string, help: string, labels: readonly L[], samples: readonly Sample<L>[]): void {
    const gauge = new Gauge<string>(this.#configuration(name, help, labels));
    for (const sample of samples) gauge.set(sample.labels, sample.value);
    for (const alias of aliasesOf(name)) {
      this.gauge<string>(alias.name, deprecated(name), labels, formerly(samples, alias));
    }
  }

  counter<L extends string>(name: string, help: string, labels: readonly L[], samples: readonly Sample<L>[]): void {
    const counter = new Counter<string>(this.#configuration(name, help, labels));
    for (const sample of samples) counter.inc(sample.labels, sample.value);
    for (const alias of aliasesOf(name)) {
      this.counter<string>(alias.name, deprecated(name), labels, formerly(samples, alias));
    }
  }

  /** @param bounds upper bounds of the buckets in seconds */
  histogram<L extends string>(
    name: string,
    help: string,
    bounds: readonly number[],
    series: readonly HistogramSeries<L>[],
  ): void {
    this.#registry.registerMetric(new ReadHistogram(`switchyard_${name}`, help, bounds, series));
  }

  /** The document in the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #configuration(name: string, help: string, labelNames: readonly string[]) {
    return { name: `switchyard_${name}`, help, labelNames, registers: [this.#registry] };
  }
}

function aliasesOf(name: string): readonly MetricAlias[] {
  return METRIC_ALIASES.filter((alias) => alias.of === name);
}

function deprecated(name: string): string {
  return `Deprecated alias of switchyard_${name}.`;
}

function formerly<L extends string>(
  samples: readonly Sample<L>[],
  { labelValues = {} }: MetricAlias,
): Sample<string>[] {
  return samples.map(({ labels, value }) => ({
    labels: Object.fromEntries(
      Object.entries<string>(labels).map(([label, text]) => [label, labelValues[text] ?? text]),
    ),
    value,
  }));
}

/** A histogram that was counted elsewhere: its buckets are read, where prom-client's own are filled by `observe`. */
class ReadHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series: readonly HistogramSeries<string>[];

  constructor(name: string, help: string, bounds: readonly number[], series: readonly HistogramSeries<string>[]) {
    super({ name, help, registers: [] });
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#series = series;
  }

  /** What a registry prints of a histogram; it is not in prom-client's types. */
  async getForPromString() {
    return { name: this.#name, help: this.#help, type: 'histogram', values: [...this.#samples()] };
  }

  *#samples(): Generator<HistogramSample> {
    for (const { labels, view } of this.#series) {
      const bucket = `${this.#name}_bucket`;
      for (const bound of this.#bounds) {
        yield { metricName: bucket, labels: { ...labels, le: String(bound) }, value: view.atMost(bound * 1000) };
      }
      yield { metricName: bucket, labels: { ...labels, le: '+Inf' }, value: view.count };
      yield { metricName: `${this.#name}_sum`, labels, value: view.sum / 1000 };
      yield { metricName: `${this.#name}_count`, labels, value: view.count };
    }
  }
}
