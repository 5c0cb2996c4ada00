/** Where the rows of a part come from: blocks of columns. */

/** The arrays of a block, which sources fill. */
export interface BlockArrays {
  /** One for each column of the plan. */
  readonly data: readonly Float64Array[]
  readonly slices: Int32Array
  /** Of the clusters of rows, if there are any. */
  readonly hashes: Uint32Array | undefined
  /** Told of a row of a column that has no usable value, which was set to 0. */
  readonly onGap: (column: number, row: number, why: 'null' | number) => void
}

export interface RowSource {
  /**
   * Reads the next rows, from `at` on.
   *
   * @returns how many they are; 0 at the end
   */
  read(into: BlockArrays, at: number, most: number): number | Promise<number>
  close(): void | Promise<void>
}
